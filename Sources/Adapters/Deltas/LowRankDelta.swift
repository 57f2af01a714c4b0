import Tensors

/// `ΔW = scale · B · A`, of rank at most `r`.
public struct LowRankDelta: WeightDelta {
  /// `A`, `[r, inFeatures]`
  public let down: Tensor
  /// `B`, `[outFeatures, r]`
  public let up: Tensor
  public let scale: Double

  public init(down: Tensor, up: Tensor, scale: Double = 1) {
    self.down = down
    self.up = up
    self.scale = scale
  }

  public var outFeatures: Int { up.shape[0] }
  public var inFeatures: Int { down.shape[1] }
  public var factors: [Tensor] { [down, up] }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> LowRankDelta {
    LowRankDelta(down: try transform(down), up: try transform(up), scale: scale)
  }

  public func apply(to input: Tensor) throws -> Tensor { try input.linear(down).linear(up) * scale }

  public func materialized() throws -> Tensor { try up.matmul(down) * scale }

  public var lowRank: LowRankDelta? { self }

  public func scaled(by factor: Double) -> any WeightDelta { LowRankDelta(down: down, up: up, scale: scale * factor) }

  /// Whether two factors of this rank hold fewer numbers than the matrix.
  static func isSmall(_ rank: Int, _ outFeatures: Int, _ inFeatures: Int) -> Bool {
    rank * (outFeatures + inFeatures) < outFeatures * inFeatures
  }
}

extension LowRankDelta: RidingDelta {
  func added(to weight: Tensor) throws -> Tensor { try weight.addingProduct(up, down, alpha: scale) }

  /// Through the small dimension: `∂B = s · Gᵀ(xAᵀ)`, `∂A = s · (GB)ᵀx`. The gradient of the dense weight is never formed.
  func factorGradients(_ gradient: Tensor, _ rows: Tensor, needed: [Bool]) throws -> [Tensor?] {
    [
      needed[0] ? try gradient.matmul(up).transposed().matmul(rows) * scale : nil,
      needed[1] ? try gradient.transposed().matmul(rows.linear(down)) * scale : nil,
    ]
  }
}
