/// How a stored image is to be turned to be seen upright: the EXIF tag 0x0112, with its numbers.
///
/// The names say where the first stored row and the first stored column belong in the upright image.
public enum Orientation: Int, Sendable, Codable, CaseIterable {
  case topLeft = 1
  case topRight = 2
  case bottomRight = 3
  case bottomLeft = 4
  case leftTop = 5
  case rightTop = 6
  case rightBottom = 7
  case leftBottom = 8

  /// True for the four that exchange width and height.
  public var swapsSides: Bool { rawValue >= 5 }
}

extension RGBImage {
  /// The image as it is meant to be seen, when it is stored with `orientation`.
  public func upright(from orientation: Orientation) -> RGBImage {
    if orientation == .topLeft { return self }
    let (outWidth, outHeight) = orientation.swapsSides ? (height, width) : (width, height)
    // The source index moves linearly with the column and row of the result: start, step per column, step per row.
    let right = 3
    let down = width * 3
    let lastColumn = (width - 1) * right
    let lastRow = (height - 1) * down
    let (start, perColumn, perRow) =
      switch orientation {
      case .topLeft: (0, right, down)
      case .topRight: (lastColumn, -right, down)
      case .bottomRight: (lastColumn + lastRow, -right, -down)
      case .bottomLeft: (lastRow, right, -down)
      case .leftTop: (0, down, right)
      case .rightTop: (lastRow, -down, right)
      case .rightBottom: (lastColumn + lastRow, -down, -right)
      case .leftBottom: (lastColumn, down, -right)
      }
    let turned = [UInt8](unsafeUninitializedCapacity: pixels.count) { out, count in
      pixels.withUnsafeBufferPointer { stored in
        var target = 0
        for row in 0..<outHeight {
          var source = start + row * perRow
          for _ in 0..<outWidth {
            out[target] = stored[source]
            out[target + 1] = stored[source + 1]
            out[target + 2] = stored[source + 2]
            target += 3
            source += perColumn
          }
        }
      }
      count = pixels.count
    }
    return RGBImage(uncheckedWidth: outWidth, height: outHeight, pixels: turned)
  }
}
