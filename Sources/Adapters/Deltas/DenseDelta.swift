import Tensors

/// ΔW as the dense matrix itself: what full fine-tuning leaves, and what other structures are measured against.
public struct DenseDelta: WeightDelta {
  /// `[outFeatures, inFeatures]`
  public let value: Tensor

  public init(_ value: Tensor) { self.value = value }

  public var outFeatures: Int { value.shape[0] }
  public var inFeatures: Int { value.shape[1] }
  public var factors: [Tensor] { [value] }
  public func apply(to input: Tensor) throws -> Tensor { try input.linear(value) }
  public func materialized() throws -> Tensor { value }
  public func scaled(by factor: Double) throws -> any WeightDelta { DenseDelta(try value * factor) }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> DenseDelta {
    DenseDelta(try transform(value))
  }
}

extension DenseDelta: RidingDelta {
  func added(to weight: Tensor) throws -> Tensor { try weight + value }

  func factorGradients(_ gradient: Tensor, _ rows: Tensor, needed: [Bool]) throws -> [Tensor?] {
    [needed[0] ? try gradient.transposed().matmul(rows) : nil]
  }
}
