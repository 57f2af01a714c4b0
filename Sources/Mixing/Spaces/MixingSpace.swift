/// The numbers in which adapters are mixed.
///
/// The spaces differ: the mean of two `B·A` is not the product of the mean `B` and the mean `A`, which has the cross terms
/// `Bᵢ·Aⱼ` as well.
public enum MixingSpace: String, Codable, Hashable, Sendable, CaseIterable {
  /// The change `ΔW` of each linear map, whatever made it: of any ranks, targets and methods that merge.
  case delta
  /// The adapters' parameters, of equal layouts: what bottlenecks need, which are no change of a linear map.
  case factors
  /// The factors of LoRA as PEFT's `linear`, `ties`, `dare_linear` … mix them: each of `A` and `B` with `√|weight · scale|`, the
  /// sign with `A`. Not exact even for equal members: `k` of them with weights `1/k` give `k · ΔW`. For comparison only.
  case peftFactors = "peft_factors"
  /// What the members give, side by side in one adapter: `OutputAverage`, at the cost of all of them.
  case outputs
}
