import Tensors

/// A named tensor that training changes in place.
///
/// `@unchecked Sendable`: the reference never changes; its values do, under the one task that trains the model.
public final class Parameter: @unchecked Sendable {
  /// Unique within one adapter or head, as in `blocks.3.attn.qkv.lora_A`.
  public let name: String
  public let value: Tensor
  /// Whether weight decay applies: not to biases, scales and other vectors.
  public let decays: Bool
  /// Whether it is one of the matrices that an adapter computes with, whose signs are compared and which may be pruned: not a
  /// scale, a router, a prompt, or a tensor of the backbone that trains itself.
  public let isWeight: Bool

  /// - Parameters:
  ///   - value: copied, so that the parameter shares memory with nothing.
  ///   - decays: nil where it has two dimensions or more.
  ///   - isWeight: nil where it has two dimensions or more.
  public init(_ name: String, _ value: Tensor, decays: Bool? = nil, isWeight: Bool? = nil) throws {
    self.name = name
    self.value = try withoutGradients { try value.detached().clone() }
    self.decays = decays ?? (value.rank > 1)
    self.isWeight = isWeight ?? (value.rank > 1)
    try self.value.requiringGradient()
  }

  /// Another parameter's tensor under another name, which from here on does not train.
  public init(freezing parameter: Parameter, as name: String) throws {
    self.name = name
    value = try parameter.value.requiringGradient(false)
    decays = false
    isWeight = parameter.isWeight
  }

  public var count: Int { value.count }

  /// Takes over the values of a tensor of the same shape.
  ///
  /// - Throws: `ParameterError.shape` if the shapes differ, `ParameterError.notFinite` for NaN or infinity.
  public func load(_ source: Tensor) throws {
    guard source.shape == value.shape else {
      throw ParameterError.shape(name, expected: value.shape, found: source.shape)
    }
    try withoutGradients {
      // Checked in this dtype: a finite float64 can be infinite in float32.
      let source = try source.to(value.dtype)
      if source.dtype.isFloatingPoint, try !source.isAllFinite() { throw ParameterError.notFinite(name) }
      try value.copyInPlace(source)
    }
  }
}

public enum ParameterError: Error, Equatable, CustomStringConvertible {
  case shape(String, expected: [Int], found: [Int])
  case notFinite(String)

  public var description: String {
    switch self {
    case .shape(let name, let expected, let found):
      "'\(name)' has shape \(found) in the file and \(expected) here. Load it into the model it was saved from."
    case .notFinite(let name): "'\(name)' holds NaN or infinity. The file was written by a run that had diverged."
    }
  }
}
