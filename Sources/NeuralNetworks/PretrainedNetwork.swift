import Foundation
import Tensors

/// A backbone that was read from a folder of weights.
public protocol PretrainedNetwork: Backbone {
  /// What was found in the files and what was left unused, and why.
  var report: LoadReport { get }

  /// The classifier that the checkpoint holds beside the features, `[classes, features]` and `[classes]`; nil where it holds none.
  var pretrainedClassifier: (weight: Tensor, bias: Tensor?)? { get }

  /// The network of another folder, read as this one is.
  ///
  /// - Throws: as the initializer that reads a folder.
  func reloaded(from folder: URL) throws -> Self

  /// Inputs of the shape that the network reads, the same for the same generator: normal pixels, or tokens of texts of
  /// several lengths.
  ///
  /// - Parameter size: the side of the images in pixels, or the tokens of the longest text; nil for a small one.
  func noise(count: Int, size: Int?, from generator: Generator) throws -> Tensor
}

extension VisionTransformer: PretrainedNetwork {
  public var pretrainedClassifier: (weight: Tensor, bias: Tensor?)? { beside.classifier }

  public func reloaded(from folder: URL) throws -> VisionTransformer {
    try VisionTransformer(
      from: folder, device: device, pooling: configuration.pooling, heads: configuration.heads,
      activation: configuration.activation)
  }

  public func noise(count: Int, size: Int?, from generator: Generator) throws -> Tensor {
    let side = size ?? 4 * configuration.patchSize
    return try .normal([count, 3, side, side], from: generator)
  }
}

extension TextTransformer: PretrainedNetwork {
  public var pretrainedClassifier: (weight: Tensor, bias: Tensor?)? { classifier }

  public func reloaded(from folder: URL) throws -> TextTransformer {
    try TextTransformer(from: folder, device: device, pooling: configuration.pooling)
  }

  public func noise(count: Int, size: Int?, from generator: Generator) throws -> Tensor {
    let longest = max(1, min(size ?? 32, maximumLength))
    func integers(_ shape: [Int], from low: Int, below high: Int) throws -> [Int64] {
      try Tensor.uniform(shape, Double(low), Double(high), dtype: .float64, from: generator).to(.int64).array()
    }
    let lengths = try integers([count], from: 1, below: longest + 1)
    let tokens = try integers([count, longest], from: 0, below: configuration.vocabulary)
    return try input(
      (0..<count).map { text in
        // The first one is as long as any may be.
        let length = text == 0 ? longest : Int(lengths[text])
        return tokens[text * longest..<text * longest + length].map(Int.init)
      })
  }
}
