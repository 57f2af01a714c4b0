import Tensors

/// `ΔW = BD(V) · R`: a block-diagonal matrix over channels in their own order or reordered. Sparse, and yet of full rank
/// where the blocks are square.
///
/// Hao et al. 2023, "Consolidator", arXiv:2305.00603. With `g` groups, `i = inFeatures / g` and `o = outFeatures / g`:
///
///     ΔW[j·o + a, π(j·i + b)] = V[j, a, b],  π(p) = p, or reordered (p mod g) · i + p div g
///
/// `g = 1` is any dense change, `g = inFeatures = outFeatures` a diagonal one.
public struct GroupedDelta: WeightDelta {
  /// `V`, `[groups, outFeatures / groups, inFeatures / groups]`
  public let values: Tensor
  public let reorder: Bool

  public init(values: Tensor, reorder: Bool = false) {
    self.values = values
    self.reorder = reorder
  }

  public var groups: Int { values.shape[0] }
  public var outFeatures: Int { groups * values.shape[1] }
  public var inFeatures: Int { groups * values.shape[2] }
  public var factors: [Tensor] { [values] }

  public func mapFactors(_ transform: (Tensor) throws -> Tensor) rethrows -> GroupedDelta {
    GroupedDelta(values: try transform(values), reorder: reorder)
  }

  public func apply(to input: Tensor) throws -> Tensor {
    try GroupedBranch.output(weight: nil, bias: nil, input: input, branches: [GroupedBranch(delta: self)])
  }

  public func materialized() throws -> Tensor {
    try Tensor.zeros([outFeatures * inFeatures], dtype: values.dtype, device: values.device)
      .scattered(0, places(), values.reshaped(-1)).reshaped(outFeatures, inFeatures)
  }

  public func merged(into weight: Tensor, scale: Double) throws -> Tensor {
    try weight.adding(values.reshaped(-1), at: places(), scale: scale)
  }

  public func scaled(by factor: Double) throws -> any WeightDelta {
    GroupedDelta(values: try values * factor, reorder: reorder)
  }

  public func factorwiseInner(_ other: any WeightDelta) throws -> Double? {
    if let other = other as? GroupedDelta, other.grouping == grouping {
      return try (values * other.values).sum().item()
    }
    // The rest of ΔW is zero, so only the other's numbers at these places count. Low ranks have a cheaper way.
    guard try other.lowRank == nil else { return nil }
    return try (other.materialized().reshaped(-1).selected(0, places()) * values.reshaped(-1)).sum().item()
  }

  /// Which inputs lead to which outputs.
  var grouping: Grouping { Grouping(groups: groups, reorder: reorder, inFeatures: inFeatures) }

  /// Where the values stand in a row-major ΔW, in their order.
  func places() throws -> Tensor {
    try grouping.places(outFeatures, inFeatures).to(values.device)
  }
}

/// Which inputs of a map lead to which of its outputs: each group of outputs to one group of inputs.
struct Grouping: Hashable, Sendable {
  let groups: Int
  /// Whether the groups of inputs are read down the columns of a `[groups, inFeatures / groups]` grid.
  let reorder: Bool

  init(groups: Int, reorder: Bool, inFeatures: Int) {
    self.groups = groups
    // One group, and groups of one channel, read the channels in their own order either way.
    self.reorder = reorder && groups > 1 && groups < inFeatures
  }

  /// The places in a row-major `[outFeatures, inFeatures]`, in the order of the values `[groups, o, i]`.
  func places(_ outFeatures: Int, _ inFeatures: Int) throws -> Tensor {
    let (outputs, inputs) = (outFeatures / groups, inFeatures / groups)
    let rows = try Tensor.arange(0..<outFeatures).reshaped(groups, outputs, 1) * Double(inFeatures)
    var columns = try Tensor.arange(0..<inFeatures)
    if reorder { columns = try columns.reshaped(groups, inputs).transposed() }
    return try (rows + columns.reshaped(groups, 1, inputs)).reshaped(-1)
  }

  /// Whether every connection of `other` is one of this grouping's: known where groups are unions of groups.
  func contains(_ other: Grouping) -> Bool {
    groups == 1 || self == other || (!reorder && !other.reorder && other.groups.isMultiple(of: groups))
  }
}

extension Tensor {
  /// This matrix with `scale · values` added at some of its places, each named once: in float32 or better, rounded once.
  func adding(_ values: Tensor, at places: Tensor, scale: Double) throws -> Tensor {
    let wide: DType = [dtype, values.dtype].contains(.float64) ? .float64 : .float32
    let sum = try to(wide).contiguous().clone()
    try sum.reshaped(-1).addInPlace(values.to(wide) * scale, at: places)
    return try sum.to(dtype)
  }
}
