/// What an image file says about itself before its pixels are decoded.
public struct ImageHeader: Sendable, Hashable, Codable {
  public enum Format: String, Sendable, Codable, CaseIterable {
    case jpeg = "JPEG"
    case png = "PNG"
    case webp = "WebP"
  }

  public let format: Format
  /// Pixels across, as the image is meant to be seen: after its EXIF orientation.
  public let width: Int
  /// Pixels down, after its EXIF orientation.
  public let height: Int
  /// 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha or CMYK.
  public let channels: Int
  public let bitsPerChannel: Int
  public let hasAlpha: Bool
  public let isAnimated: Bool
  public let orientation: Orientation
}
