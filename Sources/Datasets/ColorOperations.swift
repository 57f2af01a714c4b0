/// Torchvision's colour adjustments of PIL images, in place, on interleaved RGB bytes, with PIL's rounding.
enum ColorOperations {
  typealias Pixels = UnsafeMutableBufferPointer<UInt8>

  /// A blend with black: `factor · pixel`.
  static func adjustBrightness(_ pixels: Pixels, by factor: Float) {
    blend(pixels, by: factor) { _, _, _ in 0 }
  }

  /// A blend with the mean luminance of the whole image.
  static func adjustContrast(_ pixels: Pixels, by factor: Float) {
    var sum = 0
    for start in stride(from: 0, to: pixels.count - 2, by: 3) {
      sum += Int(luminance(pixels[start], pixels[start + 1], pixels[start + 2]))
    }
    let mean = Float(Int(Double(sum) / Double(max(1, pixels.count / 3)) + 0.5))
    blend(pixels, by: factor) { _, _, _ in mean }
  }

  /// A blend with each pixel's own luminance.
  static func adjustSaturation(_ pixels: Pixels, by factor: Float) {
    blend(pixels, by: factor) { Float(luminance($0, $1, $2)) }
  }

  static func makeGrayscale(_ pixels: Pixels) {
    for start in stride(from: 0, to: pixels.count - 2, by: 3) {
      let grey = luminance(pixels[start], pixels[start + 1], pixels[start + 2])
      (pixels[start], pixels[start + 1], pixels[start + 2]) = (grey, grey, grey)
    }
  }

  /// Turns the hue by `turns`, a fraction of the circle in -0.5...0.5, through PIL's 8-bit HSV.
  static func adjustHue(_ pixels: Pixels, by turns: Double) {
    let shift = UInt8(truncatingIfNeeded: Int(turns * 255))
    for start in stride(from: 0, to: pixels.count - 2, by: 3) {
      let (red, green, blue) = (pixels[start], pixels[start + 1], pixels[start + 2])
      let value = max(red, green, blue)
      let least = min(red, green, blue)
      if value == least { continue }  // grey: no saturation, so no hue to turn
      let range = Float(value - least)
      // Whole numbers below 2²⁴ divided and truncated: float and double agree with PIL's mixture of the two.
      let saturation = UInt8(range / Float(value) * 255)
      let hue = hueByte(red, green, blue, value, range) &+ shift
      (pixels[start], pixels[start + 1], pixels[start + 2]) = rgb(hue, saturation, value)
    }
  }

  static func flipHorizontally(_ pixels: Pixels, width: Int) {
    guard width > 1 else { return }
    let rowBytes = width * 3
    for row in stride(from: 0, through: pixels.count - rowBytes, by: rowBytes) {
      var left = row
      var right = row + rowBytes - 3
      while left < right {
        pixels.swapAt(left, right)
        pixels.swapAt(left + 1, right + 1)
        pixels.swapAt(left + 2, right + 2)
        left += 3
        right -= 3
      }
    }
  }

  /// ITU-R 601 with PIL's 16-bit weights.
  @inline(__always) static func luminance(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> UInt8 {
    UInt8(truncatingIfNeeded: (UInt32(red) * 19_595 + UInt32(green) * 38_470 + UInt32(blue) * 7_471 + 0x8000) >> 16)
  }

  /// `other + factor · (pixel − other)`, cut to bytes and truncated, as PIL's `Image.blend(other, image, factor)`.
  @inline(__always) private static func blend(
    _ pixels: Pixels, by factor: Float, with other: (UInt8, UInt8, UInt8) -> Float
  ) {
    for start in stride(from: 0, to: pixels.count - 2, by: 3) {
      let degenerate = other(pixels[start], pixels[start + 1], pixels[start + 2])
      for channel in start..<start + 3 {
        let mixed = degenerate + factor * (Float(pixels[channel]) - degenerate)
        pixels[channel] = UInt8(min(max(mixed, 0), 255))
      }
    }
  }

  @inline(__always) private static func hueByte(
    _ red: UInt8, _ green: UInt8, _ blue: UInt8, _ value: UInt8, _ range: Float
  ) -> UInt8 {
    let fromRed = Float(value - red) / range
    let fromGreen = Float(value - green) / range
    let fromBlue = Float(value - blue) / range
    let sixth: Float =
      if red == value {
        fromBlue - fromGreen
      } else if green == value {
        Float(2.0 + Double(fromRed) - Double(fromBlue))
      } else {
        Float(4.0 + Double(fromGreen) - Double(fromRed))
      }
    let turn = Double(sixth) / 6 + 1
    let hue = Float(turn >= 1 ? turn - 1 : turn)
    return UInt8(min(max(Double(hue) * 255, 0), 255))
  }

  @inline(__always) private static func rgb(
    _ hue: UInt8, _ saturation: UInt8, _ value: UInt8
  ) -> (UInt8, UInt8, UInt8) {
    if saturation == 0 { return (value, value, value) }
    let position = Float(hue) * 6 / 255
    let sector = Int(position)
    let fraction = position - Float(sector)
    let amount = Float(saturation) / 255
    let level = Float(value)
    let low = rounded(level * (1 - amount))
    let falling = rounded(level * (1 - amount * fraction))
    let rising = rounded(level * (1 - amount * (1 - fraction)))
    switch sector % 6 {
    case 0: return (value, rising, low)
    case 1: return (falling, value, low)
    case 2: return (low, value, rising)
    case 3: return (low, falling, value)
    case 4: return (rising, low, value)
    default: return (value, low, falling)
    }
  }

  @inline(__always) private static func rounded(_ level: Float) -> UInt8 {
    UInt8(min(max(level + 0.5, 0), 255))
  }
}
