/// Bilinear resizing with antialiasing, to the byte what PIL's `Image.resize(..., BILINEAR)` computes.
///
/// A triangle filter, stretched by the scale when shrinking, first along the rows, then along the columns, with weights of 22
/// fractional bits and a rounding to bytes between the passes. Torchvision resizes PIL images with it.
enum Resampling {
  /// 32 bits, less 8 of the pixel, less 2 in reserve.
  private static let fractionBits: Int32 = 22

  /// For each output position, the first input position it reads and `taps` weights, unused ones 0.
  struct Weights {
    var first: [Int]
    var count: [Int]
    var values: [Int32]
    var taps: Int

    init(from input: Int, to output: Int) {
      let scale = Double(input) / Double(output)
      let stretch = max(scale, 1)
      taps = Int(stretch.rounded(.up)) * 2 + 1
      first = []
      count = []
      first.reserveCapacity(output)
      count.reserveCapacity(output)
      values = Array(repeating: 0, count: output * taps)
      var exact = Array(repeating: 0.0, count: taps)
      let inverse = 1 / stretch
      for position in 0..<output {
        let center = (Double(position) + 0.5) * scale
        let start = max(0, Int(center - stretch + 0.5))
        let end = min(input, Int(center + stretch + 0.5))
        let used = min(end - start, taps)
        var sum = 0.0
        for tap in 0..<used {
          let distance = abs((Double(tap + start) - center + 0.5) * inverse)
          exact[tap] = max(0, 1 - distance)
          sum += exact[tap]
        }
        // Multiplied by the reciprocal, as PIL does: a division would differ in the last bit now and then.
        let normalizer = sum == 0 ? 0 : 1 / sum
        for tap in 0..<used {
          let weight = exact[tap] * normalizer
          values[position * taps + tap] = Int32(0.5 + weight * Double(1 << Resampling.fractionBits))
        }
        first.append(start)
        count.append(used)
      }
    }
  }

  /// `region` of `image`, which must lie within it, as `width` × `height` RGB bytes written to `out`.
  static func resize(
    _ image: RGBImage, region: PixelRegion, width: Int, height: Int, into out: UnsafeMutableBufferPointer<UInt8>
  ) {
    precondition(out.count == width * height * 3, "the buffer must hold the resized image")
    image.pixels.withUnsafeBufferPointer { pixels in
      guard let base = pixels.baseAddress, let target = out.baseAddress else { return }
      let source = base + (region.top * image.width + region.left) * 3
      let stride = image.width * 3
      if region.height == height {
        horizontal(source, stride, region.width, rows: height, to: width, into: target)
        return
      }
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: region.height * width * 3) { middle in
        guard let narrow = middle.baseAddress else { return }
        horizontal(source, stride, region.width, rows: region.height, to: width, into: narrow)
        vertical(narrow, width * 3, region.height, to: height, into: target)
      }
    }
  }

  private static func horizontal(
    _ source: UnsafePointer<UInt8>, _ stride: Int, _ input: Int, rows: Int, to output: Int,
    into target: UnsafeMutablePointer<UInt8>
  ) {
    if input == output {
      for row in 0..<rows { (target + row * output * 3).update(from: source + row * stride, count: output * 3) }
      return
    }
    let weights = Weights(from: input, to: output)
    weights.values.withUnsafeBufferPointer { values in
      weights.first.withUnsafeBufferPointer { first in
        weights.count.withUnsafeBufferPointer { count in
          for row in 0..<rows {
            let line = source + row * stride
            var pixel = target + row * output * 3
            for x in 0..<output {
              var red: Int32 = 1 << (fractionBits - 1)
              var green = red
              var blue = red
              var read = line + first[x] * 3
              let base = x * weights.taps
              for tap in 0..<count[x] {
                let weight = values[base + tap]
                red &+= Int32(read[0]) &* weight
                green &+= Int32(read[1]) &* weight
                blue &+= Int32(read[2]) &* weight
                read += 3
              }
              pixel[0] = byte(red)
              pixel[1] = byte(green)
              pixel[2] = byte(blue)
              pixel += 3
            }
          }
        }
      }
    }
  }

  private static func vertical(
    _ source: UnsafePointer<UInt8>, _ stride: Int, _ input: Int, to output: Int,
    into target: UnsafeMutablePointer<UInt8>
  ) {
    let weights = Weights(from: input, to: output)
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: stride) { sums in
      guard let sum = sums.baseAddress else { return }
      for y in 0..<output {
        sum.update(repeating: 1 << (fractionBits - 1), count: stride)
        for tap in 0..<weights.count[y] {
          let weight = weights.values[y * weights.taps + tap]
          let line = source + (weights.first[y] + tap) * stride
          for x in 0..<stride { sum[x] &+= Int32(line[x]) &* weight }
        }
        let line = target + y * stride
        for x in 0..<stride { line[x] = byte(sum[x]) }
      }
    }
  }

  /// The weights are not negative and sum to 1 within rounding, so only the upper end can be passed.
  @inline(__always) private static func byte(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(sum >> fractionBits, 255))
  }
}

extension RGBImage {
  /// The image, or a part of it, at another size: bilinear, antialiased, equal to PIL's.
  ///
  /// - Parameters:
  ///   - width: of the result, at least 1.
  ///   - height: of the result, at least 1.
  ///   - region: the part to resize, cut to the image; `nil` for all of it.
  /// - Throws: `RGBImageError.noPixels` for a size that is not positive.
  public func resized(width: Int, height: Int, region: PixelRegion? = nil) throws(RGBImageError) -> RGBImage {
    guard width > 0, height > 0 else { throw .noPixels(width: width, height: height) }
    let whole = PixelRegion(left: 0, top: 0, width: self.width, height: self.height)
    let part = (region ?? whole).clamped(toWidth: self.width, height: self.height)
    let resized = [UInt8](unsafeUninitializedCapacity: width * height * 3) { buffer, count in
      count = width * height * 3
      Resampling.resize(self, region: part, width: width, height: height, into: .init(rebasing: buffer[..<count]))
    }
    return RGBImage(uncheckedWidth: width, height: height, pixels: resized)
  }
}
