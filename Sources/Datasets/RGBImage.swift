/// An image in memory: 8-bit red, green and blue, interleaved, rows from the top, without padding.
public struct RGBImage: Sendable, Hashable {
  public let width: Int
  public let height: Int
  /// `height · width · 3` bytes: the pixel in row `y` and column `x` starts at `(y · width + x) · 3`.
  public let pixels: [UInt8]

  /// - Throws: `RGBImageError` if a side is not positive or the number of bytes is not `width · height · 3`.
  public init(width: Int, height: Int, pixels: [UInt8]) throws(RGBImageError) {
    guard width > 0, height > 0 else { throw .noPixels(width: width, height: height) }
    let (count, overflow) = width.multipliedReportingOverflow(by: height)
    let (bytes, overflows) = count.multipliedReportingOverflow(by: 3)
    guard !overflow, !overflows, bytes == pixels.count else {
      throw .wrongByteCount(pixels.count, width: width, height: height)
    }
    self.init(uncheckedWidth: width, height: height, pixels: pixels)
  }

  /// For callers in this module that have just made the pixels to measure.
  init(uncheckedWidth width: Int, height: Int, pixels: [UInt8]) {
    assert(pixels.count == width * height * 3)
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  public var shorterSide: Int { min(width, height) }
}

public enum RGBImageError: Error, Equatable, CustomStringConvertible {
  case noPixels(width: Int, height: Int)
  case wrongByteCount(Int, width: Int, height: Int)

  public var description: String {
    switch self {
    case .noPixels(let width, let height):
      "An image of \(width) × \(height) has no pixels. Both sides must be at least 1."
    case .wrongByteCount(let count, let width, let height):
      "An image of \(width) × \(height) does not fit \(count) bytes. Give width · height · 3: red, green, blue per pixel."
    }
  }
}
