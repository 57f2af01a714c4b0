import Tensors

/// `ΔW = scale · (A₁B₁) ∘ (A₂B₂)`, the product element by element of two low ranks: of rank up to `r²`.
///
/// Hyeon-Woo et al. 2021, "FedPara", arXiv:2108.06098, proposition 1; LoHa in PEFT and LyCORIS.
public struct HadamardDelta: WeightDelta {
  /// `A₁`, `[outFeatures, r]`
  public let firstUp: Tensor
  /// `B₁`, `[r, inFeatures]`
  public let firstDown: Tensor
  /// `A₂`, `[outFeatures, r]`
  public let secondUp: Tensor
  /// `B₂`, `[r, inFeatures]`
  public let secondDown: Tensor
  public let scale: Double

  public init(firstUp: Tensor, firstDown: Tensor, secondUp: Tensor, secondDown: Tensor, scale: Double = 1) {
    self.firstUp = firstUp
    self.firstDown = firstDown
    self.secondUp = secondUp
    self.secondDown = secondDown
    self.scale = scale
  }

  public var outFeatures: Int { firstUp.shape[0] }
  public var inFeatures: Int { firstDown.shape[1] }
  public var factors: [Tensor] { [firstUp, firstDown, secondUp, secondDown] }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> HadamardDelta {
    HadamardDelta(
      firstUp: try transform(firstUp), firstDown: try transform(firstDown), secondUp: try transform(secondUp),
      secondDown: try transform(secondDown), scale: scale)
  }

  /// Through the `r²` columns of the low-rank form where they are few, else through ΔW.
  public func apply(to input: Tensor) throws -> Tensor {
    try lowRank?.apply(to: input) ?? input.linear(materialized())
  }

  public func materialized() throws -> Tensor {
    try firstUp.matmul(firstDown) * secondUp.matmul(secondDown) * scale
  }

  /// The rows of `A₁` and `A₂` multiplied each with each, and so the columns of `B₁` and `B₂` (Khatri–Rao products):
  /// `Σ_p A₁[i,p]B₁[p,j] · Σ_q A₂[i,q]B₂[q,j] = Σ_pq (A₁[i,p]A₂[i,q]) · (B₁[p,j]B₂[q,j])`.
  public var lowRank: LowRankDelta? {
    get throws {
      let rank = firstDown.shape[0] * secondDown.shape[0]
      guard LowRankDelta.isSmall(rank, outFeatures, inFeatures) else { return nil }
      return LowRankDelta(
        down: try (firstDown.unsqueezed(1) * secondDown.unsqueezed(0)).reshaped(rank, inFeatures),
        up: try (firstUp.unsqueezed(2) * secondUp.unsqueezed(1)).reshaped(outFeatures, rank), scale: scale)
    }
  }

  public func scaled(by factor: Double) -> any WeightDelta {
    HadamardDelta(
      firstUp: firstUp, firstDown: firstDown, secondUp: secondUp, secondDown: secondDown, scale: scale * factor)
  }
}
