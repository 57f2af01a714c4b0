import NeuralNetworks
import Tensors

/// A linear classifier over a backbone's features, with the names of its classes: `x · weightᵀ + bias`, or the same of features
/// brought to length 1, `x/‖x‖ · weightᵀ + bias`.
public final class Head: Sendable {
  /// What it tells apart, in the words of whoever trained it.
  public let name: String
  public let classes: [String]
  /// `[classes, features]`
  public let weight: Parameter
  /// `[classes]`
  public let bias: Parameter
  /// Whether features are brought to length 1 first: with weights of one length, and no bias, a classifier by the cosine.
  public let normalizesFeatures: Bool

  /// A fresh classifier, uniform on ±1/√features as linear layers start in PyTorch.
  public init(
    _ name: String = "classifier", classes: [String], features: Int, normalizesFeatures: Bool = false,
    device: Device = .cpu, generator: Generator
  ) throws {
    guard classes.count > 1, Set(classes).count == classes.count else { throw HeadError.classes(classes) }
    self.name = name
    self.classes = classes
    self.normalizesFeatures = normalizesFeatures
    let bound = 1 / Double(features).squareRoot()
    weight = try Parameter(
      "head.weight", .uniform([classes.count, features], -bound, bound, device: device, from: generator))
    bias = try Parameter("head.bias", .uniform([classes.count], -bound, bound, device: device, from: generator))
  }

  /// A classifier by prototypes: `scale · cos(x, p_k)`, the weights `scale · p_k/‖p_k‖`, lengths below 1e-12 left short.
  ///
  /// - Parameter prototypes: `[classes, features]`
  public init(_ name: String = "prototypes", classes: [String], prototypes: Tensor, scale: Double = 10) throws {
    guard classes.count > 1, Set(classes).count == classes.count else { throw HeadError.classes(classes) }
    guard prototypes.rank == 2, prototypes.shape[0] == classes.count else {
      throw HeadError.prototypes(prototypes.shape, classes: classes.count)
    }
    self.name = name
    self.classes = classes
    normalizesFeatures = true
    weight = try Parameter("head.weight", withoutGradients { try Self.normalized(prototypes) * scale })
    bias = try Parameter(
      "head.bias", .zeros([classes.count], dtype: prototypes.dtype, device: prototypes.device))
  }

  public var parameters: [Parameter] { [weight, bias] }

  /// `[batch, features]` to logits `[batch, classes]`.
  public func callAsFunction(_ features: Tensor) throws -> Tensor {
    try (normalizesFeatures ? Self.normalized(features) : features).linear(weight.value, bias.value)
  }

  private static func normalized(_ features: Tensor) throws -> Tensor {
    try features / features.norm(-1, keep: true).clamped(1e-12...Double.infinity)
  }
}

public enum HeadError: Error, Equatable, CustomStringConvertible {
  case classes([String])
  case prototypes([Int], classes: Int)

  public var description: String {
    switch self {
    case .classes(let names):
      "A classifier needs at least two classes of different names, not [\(names.joined(separator: ", "))]."
    case .prototypes(let shape, let classes):
      "Prototypes of shape \(shape) are none of \(classes) classes. Give one row of features for each class."
    }
  }
}
