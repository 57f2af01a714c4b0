/// A rectangle of pixels within an image.
public struct PixelRegion: Sendable, Hashable, Codable {
  public var left: Int
  public var top: Int
  public var width: Int
  public var height: Int

  public init(left: Int, top: Int, width: Int, height: Int) {
    self.left = left
    self.top = top
    self.width = width
    self.height = height
  }

  /// The part of this rectangle that lies in an image, or the whole image if none does.
  func clamped(toWidth imageWidth: Int, height imageHeight: Int) -> PixelRegion {
    let (x0, x1) = Self.overlap(left, width, imageWidth)
    let (y0, y1) = Self.overlap(top, height, imageHeight)
    guard x0 < x1, y0 < y1 else { return PixelRegion(left: 0, top: 0, width: imageWidth, height: imageHeight) }
    return PixelRegion(left: x0, top: y0, width: x1 - x0, height: y1 - y0)
  }

  private static func overlap(_ start: Int, _ length: Int, _ limit: Int) -> (Int, Int) {
    let (sum, overflow) = start.addingReportingOverflow(max(0, length))
    let end = overflow ? limit : sum
    return (min(max(start, 0), limit), min(max(end, 0), limit))
  }
}
