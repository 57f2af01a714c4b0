/// A batch ready for the model: normalized pixels, labels, domains.
///
/// `@unchecked Sendable`: the pixels are written while the batch is being made, each image into its own part, and only read
/// afterwards.
public final class PixelBatch: @unchecked Sendable {
  /// The step it belongs to.
  public let step: Int
  /// Indices of the samples.
  public let samples: [Int]
  /// Class of each image.
  public let labels: [Int]
  /// Domain of each image.
  public let domains: [Int]
  /// Side of the square images, in pixels.
  public let size: Int
  private let storage: UnsafeMutableBufferPointer<Float>

  init(step: Int, samples: [Int], labels: [Int], domains: [Int], size: Int) {
    self.step = step
    self.samples = samples
    self.labels = labels
    self.domains = domains
    self.size = size
    storage = .allocate(capacity: samples.count * 3 * size * size)
  }

  deinit { storage.deallocate() }

  /// `[count, 3, size, size]`.
  public var shape: [Int] { [samples.count, 3, size, size] }

  /// The pixels in row-major order of `shape`, valid as long as the batch lives.
  public var pixels: UnsafeBufferPointer<Float> { UnsafeBufferPointer(storage) }

  /// Where the image at `slot` goes.
  func place(of slot: Int) -> UnsafeMutablePointer<Float>? {
    storage.baseAddress.map { $0 + slot * 3 * size * size }
  }
}
