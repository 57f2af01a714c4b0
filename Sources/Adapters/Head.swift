import NeuralNetworks
import Tensors

/// A linear classifier over a backbone's features, with the names of its classes: `x · weightᵀ + bias`.
public final class Head: Sendable {
  /// What it tells apart, in the words of whoever trained it.
  public let name: String
  public let classes: [String]
  /// `[classes, features]`
  public let weight: Parameter
  /// `[classes]`
  public let bias: Parameter

  /// A fresh classifier, uniform on ±1/√features as linear layers start in PyTorch.
  public init(
    _ name: String = "classifier", classes: [String], features: Int, device: Device = .cpu, generator: Generator
  ) throws {
    guard classes.count > 1, Set(classes).count == classes.count else { throw HeadError.classes(classes) }
    self.name = name
    self.classes = classes
    let bound = 1 / Double(features).squareRoot()
    weight = try Parameter(
      "head.weight", .uniform([classes.count, features], -bound, bound, device: device, from: generator))
    bias = try Parameter("head.bias", .uniform([classes.count], -bound, bound, device: device, from: generator))
  }

  public var parameters: [Parameter] { [weight, bias] }

  /// `[batch, features]` to logits `[batch, classes]`.
  public func callAsFunction(_ features: Tensor) throws -> Tensor { try features.linear(weight.value, bias.value) }
}

public enum HeadError: Error, Equatable, CustomStringConvertible {
  case classes([String])

  public var description: String {
    switch self {
    case .classes(let names):
      "A classifier needs at least two classes of different names, not [\(names.joined(separator: ", "))]."
    }
  }
}
