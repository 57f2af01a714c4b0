/// What cannot be drawn.
public enum DrawingError: Error, Equatable, CustomStringConvertible {
  case imageSize(width: Int, height: Int)
  case pixelCount(Int, expected: Int)
  case patchCount(Int, rows: Int, columns: Int)
  case unknownExpert(Int, names: Int)

  public var description: String {
    switch self {
    case .imageSize(let width, let height):
      "A picture of \(width) by \(height) pixels cannot be drawn: each side must lie in 1...\(PixelImage.largestSide)."
    case .pixelCount(let count, let expected):
      "A picture has \(count) bytes where \(expected) are needed: three (red, green, blue) per pixel."
    case .patchCount(let count, let rows, let columns):
      "\(count) patches do not fill a grid of \(rows) by \(columns). Leave the class token out of the patches."
    case .unknownExpert(let expert, let names):
      "A token was sent to expert \(expert), but \(names) experts are named. Name every expert, counting from 0."
    }
  }
}
