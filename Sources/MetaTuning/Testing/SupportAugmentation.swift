import Datasets
import Tensors

/// Varied copies of a few images, for tuning on them: PMF's `DiffAugment`, on normalized pixels.
///
/// With a probability, in this order: all images are flipped on the toss of one coin; then each image by itself gets its
/// brightness shifted by `U(−½, ½)`, its saturation scaled by `U(0, 2)` about the mean of the channels at each pixel, its contrast by
/// `U(½, 3/2)` about the mean of the image, and is moved by up to an eighth of each side, zeros coming in.
///
/// Hu et al. 2022, arXiv:2204.07305, and its code; Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
/// arXiv:2006.10738.
public struct SupportAugmentation: Sendable, Hashable {
  /// That a batch is varied at all.
  public var probability = 0.9
  /// Off for characters and other images that mean something else in a mirror.
  public var flips = true

  public init(probability: Double = 0.9, flips: Bool = true) {
    self.probability = probability
    self.flips = flips
  }

  /// `[count, channels, height, width]` to the same shape; other inputs as they are.
  func callAsFunction(_ images: Tensor, using generator: inout Xoshiro256) throws -> Tensor {
    guard images.rank == 4, images.dtype.isFloatingPoint, generator.uniform() < probability else { return images }
    let count = images.shape[0]
    var result = images
    if generator.uniform() < 0.5, flips { result = try result.flipped(3) }
    func factors(_ range: ClosedRange<Double>) throws -> Tensor {
      let drawn = (0..<count).map { _ in Float(generator.uniform(range)) }
      return try Tensor(drawn, shape: [count, 1, 1, 1]).to(images.dtype).to(images.device)
    }
    result = try result + factors(-0.5...0.5)
    let grey = try result.mean(1, keep: true)
    result = try (result - grey) * factors(0...2) + grey
    let level = try result.mean(1, 2, 3, keep: true)
    result = try (result - level) * factors(0.5...1.5) + level
    return try moved(result, using: &generator)
  }

  private func moved(_ images: Tensor, using generator: inout Xoshiro256) throws -> Tensor {
    let shape = images.shape
    let (height, width) = (shape[2], shape[3])
    func reach(_ side: Int) -> Int { Int(Double(side) / 8 + 0.5) }
    let (down, right) = (reach(height), reach(width))
    var edge = shape
    edge[2] = down
    let row = try Tensor.zeros(edge, dtype: images.dtype, device: images.device)
    let tall = try Tensor.concatenated([row, images, row], dimension: 2)
    edge[2] = height + 2 * down
    edge[3] = right
    let column = try Tensor.zeros(edge, dtype: images.dtype, device: images.device)
    let padded = try Tensor.concatenated([column, tall, column], dimension: 3)
    return try .stacked(
      (0..<shape[0]).map { image in
        let top = generator.below(2 * down + 1)
        let left = generator.below(2 * right + 1)
        return try padded.select(0, image).narrowed(1, top..<top + height).narrowed(2, left..<left + width)
      })
  }
}
