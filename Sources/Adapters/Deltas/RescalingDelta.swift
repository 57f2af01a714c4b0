import Tensors

/// `ΔW = diag(rows) · W · diag(columns) − W` for a given weight `W`: what scaling the outputs or the inputs of a linear
/// map amounts to.
///
/// Scale and shift (Lian et al. 2022, arXiv:2210.08823), (IA)³ (Liu et al. 2022, arXiv:2205.05638) and DoRA's magnitude
/// are of this kind.
public struct RescalingDelta: WeightDelta {
  /// `W`, `[outFeatures, inFeatures]`
  public let weight: Tensor
  /// `[outFeatures]`; nil for ones.
  public let rows: Tensor?
  /// `[inFeatures]`; nil for ones.
  public let columns: Tensor?

  public init(of weight: Tensor, rows: Tensor? = nil, columns: Tensor? = nil) {
    self.weight = weight
    self.rows = rows
    self.columns = columns
  }

  public var outFeatures: Int { weight.shape[0] }
  public var inFeatures: Int { weight.shape[1] }
  public var factors: [Tensor] { [rows, columns, weight].compactMap { $0 } }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> RescalingDelta {
    RescalingDelta(of: try transform(weight), rows: try rows.map(transform), columns: try columns.map(transform))
  }

  // Everything below goes through rc − 1 = (r − 1)c + (c − 1): near 1, where these scales live, r − 1 is exact.

  public func apply(to input: Tensor) throws -> Tensor {
    switch (rows, columns) {
    case (nil, nil): try .zeros(input.shape.dropLast() + [outFeatures], dtype: input.dtype, device: input.device)
    case (let rows?, nil): try input.linear(weight) * (rows - 1)
    case (nil, let columns?): try (input * (columns - 1)).linear(weight)
    case (let rows?, let columns?):
      try (input * columns).linear(weight) * (rows - 1) + (input * (columns - 1)).linear(weight)
    }
  }

  public func materialized() throws -> Tensor {
    switch (rows, columns) {
    case (nil, nil): try weight.zerosLike()
    case (let rows?, nil): try weight * (rows.unsqueezed(1) - 1)
    case (nil, let columns?): try weight * (columns - 1)
    case (let rows?, let columns?): try weight * ((rows.unsqueezed(1) - 1) * columns + (columns - 1))
    }
  }
}
