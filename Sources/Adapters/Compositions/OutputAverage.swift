import NeuralNetworks
import Tensors

/// Adapters of any methods side by side, their outputs averaged: `y + Σᵢ ŵᵢ · (Aᵢ(x) − y)` at every map and branch, for
/// the output `y` without them and the outputs `Aᵢ(x)` that each alone gives there.
///
/// Wang et al. 2021, "Efficient Test Time Adapter Ensembling", arXiv:2109.04877, with fixed weights `ŵᵢ = wᵢ / Σ w`. It
/// costs as much as all members together, needs no common initialization, and is the same as an average of the weights
/// only where members are changes of linear maps; there it merges. Tensors that members tune are averaged: the outputs
/// of a LayerNorm and of a linear map are linear in them. Nothing of it trains; one member alone is that member.
public struct OutputAverage: Composition {
  public static let method = "OUTPUT_AVERAGE"
  public static let summary = "outputs of trained adapters averaged at every site"
  public static let paper: String? = "arXiv:2109.04877"
  public static let placement = AdapterPlacement.backbone

  public var members: [CompositionMember]
  /// One for each member, of any sign, divided by their sum; empty for equal ones.
  public var weights: [Double] = []

  /// Two LoRA adapters.
  public init() { members = [CompositionMember("first", LoRA()), CompositionMember("second", LoRA())] }

  public init(of members: [CompositionMember], weights: [Double] = []) {
    self.members = members
    self.weights = weights
  }

  public init(of adapters: [(name: String, adapter: Adapter)], weights: [Double] = []) {
    self.init(of: adapters.map { CompositionMember($0.name, $0.adapter) }, weights: weights)
  }

  public var obstacleToMerging: String? {
    members.lazy.compactMap { member in
      member.configuration.obstacleToMerging.map { "of '\(member.name)': \($0)" }
    }.first
  }

  public func validate(_ sites: [Site]) throws {
    try validateMembers()
    guard weights.isEmpty || weights.count == members.count else {
      throw CompositionError.weights(weights.count, members: members.count)
    }
    let sum = weights.reduce(0, +)
    guard weights.isEmpty || sum.isFinite && abs(sum) >= 1e-8 else { throw CompositionError.weightSum(sum) }
  }

  /// Each member's part of the whole.
  var shares: [Double] {
    let sum = weights.reduce(0, +)
    return weights.isEmpty ? members.map { _ in 1 / Double(members.count) } : weights.map { $0 / sum }
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let adapters = try frozenMembers(of: backbone, generator: generator)
    let average = AveragedMembers(
      terms: zip(adapters, shares).map { ($0.adapter, $1) }, merges: obstacleToMerging == nil)
    var parts = AdapterParts()
    var ofMaps: Set<String> = []
    for site in backbone.sites {
      guard adapters.contains(where: { $0.adapter.corrects(site) }) else { continue }
      parts.corrections[site.name] = AveragedMap(members: average)
      // What other members tune there goes through the map too: a correction may depend on the weight that it stands
      // beside.
      ofMaps.formUnion(["\(site.name).weight", "\(site.name).bias"])
    }
    for (name, _) in backbone.tensors where !ofMaps.contains(name) {
      if adapters.contains(where: { $0.adapter.tensors[name] != nil }) {
        parts.tensors[name] = AveragedTensor(members: average, name: name)
      }
    }
    for branch in backbone.branches where adapters.contains(where: { $0.adapter.branches[branch.name] != nil }) {
      parts.branches[branch.name] = AveragedBranch(members: average, branch: branch)
    }
    if let prompted = adapters.first(where: { $0.adapter.sequence != nil }) {
      guard adapters.count == 1 else {
        throw CompositionError.tokens(prompted.name, method: type(of: prompted.adapter.configuration).method)
      }
      parts.sequence = prompted.adapter.sequence
    }
    try parts.freeze(adapters)
    return parts
  }
}

/// The members and their parts of the whole, which add up to 1.
private struct AveragedMembers {
  let terms: [(adapter: Adapter, share: Double)]
  let merges: Bool

  /// `y + Σ ŵ (value − y)`; a lone member's value as it is.
  func average(_ base: () throws -> Tensor, _ value: (Adapter) throws -> Tensor) throws -> Tensor {
    guard terms.count > 1 else { return try value(terms[0].adapter) }
    let base = try base()
    return try terms.reduce(base) { try $0 + (value($1.adapter) - base) * $1.share }
  }

  /// A pass in which the members are as they are used: frozen, without dropout.
  func evaluation(_ pass: ForwardPass) -> ForwardPass {
    let evaluation = ForwardPass()
    evaluation.onRouting = pass.onRouting
    return evaluation
  }
}

private struct AveragedMap: SiteAdapter {
  let members: AveragedMembers

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let pass = members.evaluation(pass)
    return try members.average({ try linear(input) }) { try $0.output(of: linear, input: input, pass: pass) }
  }

  func delta(of linear: Linear) throws -> SiteDelta? {
    guard members.merges else { return nil }
    var weights: [(weight: Double, delta: any WeightDelta)] = []
    var bias: Tensor?
    for (adapter, share) in members.terms {
      if adapter.corrects(linear.site) {
        guard let change = try adapter.delta(of: linear) else { return nil }
        if let weight = change.weight { weights.append((share, weight)) }
        bias = try Self.sum(bias, change.bias, share)
      }
      if adapter.tensors[linear.weightName] != nil {
        let tuned = try adapter.value(of: linear.weightName, original: linear.weight)
        weights.append((share, DenseDelta(try tuned.detached() - linear.weight)))
      }
      if let original = linear.bias, adapter.tensors[linear.biasName] != nil {
        let tuned = try adapter.value(of: linear.biasName, original: original)
        bias = try Self.sum(bias, tuned.detached() - original, share)
      }
    }
    return SiteDelta(weight: weights.isEmpty ? nil : try SumDelta(weights), bias: bias)
  }

  private static func sum(_ sum: Tensor?, _ term: Tensor?, _ share: Double) throws -> Tensor? {
    guard let term = try term.map({ try $0 * share }) else { return sum }
    return try sum.map { try $0 + term } ?? term
  }
}

private struct AveragedTensor: TensorAdapter {
  let members: AveragedMembers
  let name: String

  func value(of original: Tensor) throws -> Tensor {
    try members.average({ original }) { try $0.value(of: name, original: original) }
  }
}

private struct AveragedBranch: BranchAdapter {
  let members: AveragedMembers
  let branch: Branch

  func output(_ state: BranchState, pass: ForwardPass) throws -> Tensor {
    let pass = members.evaluation(pass)
    return try members.average({ state.output }) { try $0.output(of: branch, state, pass: pass) }
  }
}

extension Linear {
  fileprivate var weightName: String { "\(site.name).weight" }
  fileprivate var biasName: String { "\(site.name).bias" }
}
