/// DomainBed's evaluation transform: resize to exactly `size` × `size`, then normalize.
///
/// The aspect ratio is not kept and nothing is cropped. Used for validation on the sources as well as for the target.
public struct EvaluationTransform: ImageTransform, Hashable, Codable {
  /// Side of the square the model sees, in pixels.
  public let size: Int
  public let normalization: Normalization

  /// - Throws: `ImageTransformError.size` unless `size` is 1...8192.
  public init(size: Int, normalization: Normalization) throws(ImageTransformError) {
    guard ImageTransformError.sizes.contains(size) else { throw .size(size) }
    self.size = size
    self.normalization = normalization
  }

  public func write(_ image: RGBImage, using _: inout Xoshiro256, to out: UnsafeMutablePointer<Float>) {
    write(image, to: out)
  }

  /// `[3, size, size]`, normalized.
  public func callAsFunction(_ image: RGBImage) -> [Float] {
    [Float](unsafeUninitializedCapacity: 3 * size * size) { buffer, count in
      guard let start = buffer.baseAddress else { return }
      write(image, to: start)
      count = buffer.count
    }
  }

  /// Writes `[3, size, size]` floats.
  public func write(_ image: RGBImage, to out: UnsafeMutablePointer<Float>) {
    let whole = PixelRegion(left: 0, top: 0, width: image.width, height: image.height)
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size * size * 3) { buffer in
      let square = UnsafeMutableBufferPointer(rebasing: buffer[..<(size * size * 3)])
      Resampling.resize(image, region: whole, width: size, height: size, into: square)
      normalization.write(UnsafeBufferPointer(square), count: size * size, to: out)
    }
  }
}
