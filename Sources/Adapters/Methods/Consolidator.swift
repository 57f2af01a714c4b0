import NeuralNetworks
import Tensors

/// Grouped connections beside linear maps: `y = Wx + b + Σ_m D(BD(V_m)·R·x + c_m)`.
///
/// Hao et al. 2023, "Consolidator: Mergeable Adapter with Grouped Connections for Visual Adaptation", arXiv:2305.00603, and
/// its code. `GroupedDelta` has the formula of `BD(V)` and of the reordering `R`; `D` is DropPath, which in training keeps
/// the branch of a sample with probability `1 − dropPath`, scaled by `1 / (1 − dropPath)`, for all its tokens and with its
/// bias. Each branch draws a mask of its own. The original biases, which are never dropped, train too, and so do all
/// LayerNorms of the backbone.
///
/// | parameter   | shape          | starts as                                                |
/// |-------------|----------------|----------------------------------------------------------|
/// | `values`    | `[g, o, i]`    | uniform on ±0.001, or zeros (`initialization`)            |
/// | `bias`      | `[out]`        | the same                                                 |
/// | `base_bias` | `[out]`        | the pretrained bias, in whose place it stands            |
///
/// with `g` groups, `o = out / g` and `i = in / g`; `branches.M` stands before the names of several branches. Only one
/// bias and each connection once need to be kept after training: `AdaptedModel.consolidated()`. Folded branches of which
/// none contains the others have `values` of shape `[connections]`.
public struct Consolidator: AdapterConfiguration {
  public static let method = "CONSOLIDATOR"
  public static let summary = "grouped connections, reordered or several on request, beside a linear map"
  public static let paper: String? = "arXiv:2305.00603"
  public static let placement = AdapterPlacement.linearMaps(.allLinear)
  public static let optionalSettings: Set<String> = ["blockWidth"]

  /// The number of groups of each branch; divides both sides of every site.
  public var groups = [384]
  /// The shorter side of a block, in place of `groups`: one branch, of more groups where the map is wider. 2 makes the
  /// published 384 groups at width 768.
  public var blockWidth: Int?
  /// Whether the groups of inputs are read across the channels, `π(p) = (p mod g)·(in/g) + p div g`.
  public var reorder = false
  /// The probability that a sample goes without a branch for one step, `0 ..< 1`.
  public var dropPath = 0.0
  /// Whether each branch has a bias.
  public var branchBias = true
  public var initialization = Initialization.uniform
  /// Whether the maps' own biases train.
  public var trainBaseBias = true
  /// Whether the weights and biases of all LayerNorms train, whichever maps are chosen.
  public var trainLayerNorm = true
  /// Whether the branches are one, with one number for a connection that several of them make.
  public var folded = false

  public enum Initialization: String, Codable, Hashable, Sendable {
    /// Uniform on ±0.001, as the official code: the start differs slightly from the frozen model.
    case uniform
    /// Zeros: the start is exactly the frozen model.
    case zeros
  }

  public init() {}

  public init(groups: [Int], reorder: Bool = false, dropPath: Double = 0) {
    self.groups = groups
    self.reorder = reorder
    self.dropPath = dropPath
  }

  public func validate(_ sites: [Site]) throws {
    guard (1...64).contains(groups.count) else {
      throw AdapterError.outOfRange("groups", Double(groups.count), "a list of 1 to 64 numbers")
    }
    for count in groups where count < 1 { throw AdapterError.outOfRange("groups", Double(count), "at least 1") }
    if let blockWidth, blockWidth < 1 { throw AdapterError.outOfRange("blockWidth", Double(blockWidth), "at least 1") }
    try AdapterError.checkRate("dropPath", dropPath)
    for site in sites {
      let narrow = min(site.inFeatures, site.outFeatures)
      if let blockWidth, !narrow.isMultiple(of: blockWidth) {
        throw AdapterError.outOfRange(
          "blockWidth", Double(blockWidth), "a divisor of \(narrow), the shorter side of '\(site.name)'")
      }
      for grouping in groupings(at: site) {
        for (count, side) in [(site.inFeatures, "inputs"), (site.outFeatures, "outputs")]
        where !count.isMultiple(of: grouping.groups) {
          throw AdapterError.groups(grouping.groups, of: count, "the \(side) of '\(site.name)'")
        }
      }
    }
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    if trainLayerNorm {
      let tuned = Set(backbone.layerNorms.flatMap { ["\($0).weight", "\($0).bias"] })
      parts = try AdapterParts(tuning: backbone, where: tuned.contains)
    }
    for site in sites {
      let layer = try ConsolidatorLayer(self, at: backbone.linear(at: site), backbone.device, generator)
      parts.corrections[site.name] = layer
      parts.parameters += layer.parameters
    }
    return parts
  }

  /// One for each branch.
  func groupings(at site: Site) -> [Grouping] {
    let counts = blockWidth.map { [min(site.inFeatures, site.outFeatures) / $0] } ?? groups
    return counts.map { Grouping(groups: $0, reorder: reorder, inFeatures: site.inFeatures) }
  }

  /// Fresh numbers.
  func start(_ shape: [Int], _ device: Device, _ generator: Generator) throws -> Tensor {
    switch initialization {
    case .uniform: try .uniform(shape, -1e-3, 1e-3, device: device, from: generator)
    case .zeros: try .zeros(shape, device: device)
    }
  }
}

extension AdapterConfiguration where Self == Consolidator {
  /// Grouped connections: one branch for each number of groups.
  public static func consolidator(groups: Int..., reorder: Bool = false, dropPath: Double = 0) -> Consolidator {
    Consolidator(groups: groups.isEmpty ? Consolidator().groups : groups, reorder: reorder, dropPath: dropPath)
  }
}

struct ConsolidatorLayer: SiteAdapter {
  let branches: [Branch]
  let baseBias: Parameter?
  let dropPath: Double

  /// What shares one mask.
  struct Branch {
    let values: Parameter
    let bias: Parameter?
    let reorder: Bool
    /// For a folded branch that no single grouping makes.
    let support: GroupedSupport?

    var delta: any WeightDelta {
      guard let support else { return GroupedDelta(values: values.value, reorder: reorder) }
      return GroupedUnionDelta(values: values.value, support: support)
    }

    var deltas: [GroupedDelta] {
      get throws { try support?.deltas(values.value) ?? [GroupedDelta(values: values.value, reorder: reorder)] }
    }
  }

  init(_ configuration: Consolidator, at linear: Linear, _ device: Device, _ generator: Generator) throws {
    let site = linear.site
    func branch(_ name: String, _ shape: [Int], _ reorder: Bool, _ support: GroupedSupport? = nil) throws -> Branch {
      Branch(
        values: try Parameter("\(name).values", configuration.start(shape, device, generator), decays: true),
        bias: configuration.branchBias
          ? try Parameter("\(name).bias", configuration.start([site.outFeatures], device, generator)) : nil,
        reorder: reorder, support: support)
    }
    func blocks(_ grouping: Grouping) -> [Int] {
      [grouping.groups, site.outFeatures / grouping.groups, site.inFeatures / grouping.groups]
    }
    let groupings = configuration.groupings(at: site)
    if configuration.folded, groupings.count > 1 {
      let support = try GroupedSupport(groupings, outFeatures: site.outFeatures, inFeatures: site.inFeatures)
      if let only = support.only {
        branches = [try branch(site.name, blocks(only), only.reorder)]
      } else {
        branches = [try branch(site.name, [support.count], false, support)]
      }
    } else {
      branches = try groupings.enumerated().map { index, grouping in
        let name = groupings.count == 1 ? site.name : "\(site.name).branches.\(index)"
        return try branch(name, blocks(grouping), grouping.reorder)
      }
    }
    baseBias = configuration.trainBaseBias ? try linear.bias.map { try Parameter("\(site.name).base_bias", $0) } : nil
    dropPath = configuration.dropPath
  }

  var parameters: [Parameter] {
    branches.flatMap { [$0.values] + ($0.bias.map { [$0] } ?? []) } + (baseBias.map { [$0] } ?? [])
  }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    // Without a dimension of tokens, every row is a sample.
    let samples = input.rank == 1 ? 1 : input.shape[0]
    let generator = dropPath > 0 ? pass.generator : nil
    let grouped = try branches.flatMap { branch in
      let mask = try generator.map {
        try Tensor.dropoutMask([samples], rate: dropPath, device: input.device, from: $0)
      }
      return try branch.deltas.enumerated().map { index, delta in
        GroupedBranch(delta: delta, bias: index == 0 ? branch.bias?.value : nil, scales: mask)
      }
    }
    return try GroupedBranch.output(
      weight: linear.weight, bias: baseBias?.value ?? linear.bias, input: input, branches: grouped)
  }

  func delta(of linear: Linear) throws -> SiteDelta? {
    let weight: any WeightDelta =
      branches.count == 1 ? branches[0].delta : try SumDelta(branches.map { (1, $0.delta) })
    return SiteDelta(weight: weight, bias: try shift(of: linear))
  }

  /// `Σ_m c_m + (b − b_pretrained)`, summed in float64; nil where no bias trains.
  func shift(of linear: Linear) throws -> Tensor? {
    var terms = try branches.compactMap { try $0.bias?.value.to(.float64) }
    if let baseBias, let original = linear.bias {
      terms.append(try baseBias.value.to(.float64) - original.to(.float64))
    }
    guard let first = terms.first else { return nil }
    return try terms.dropFirst().reduce(first) { try $0 + $1 }.to(linear.weight.dtype)
  }
}

extension AdaptedModel {
  /// This model with its trained Consolidator in the form to store: at each site each connection once, and one bias,
  /// `Σ_m c_m + (b − b_pretrained)`. Branches, masks and the trained copies of the original biases are gone; LayerNorms are
  /// copied, the head is this model's. In evaluation it computes the same; it saves, loads, merges and trains on as any
  /// other.
  ///
  /// - Throws: `ConsolidationError` where the adapter is another method's.
  public func consolidated() throws -> AdaptedModel {
    guard let trained = adapter.configuration as? Consolidator else {
      throw ConsolidationError.method(type(of: adapter.configuration).method)
    }
    var configuration = trained
    configuration.dropPath = 0
    configuration.folded = trained.blockWidth == nil && trained.groups.count > 1
    configuration.branchBias = trained.branchBias || trained.trainBaseBias
    configuration.trainBaseBias = false
    configuration.initialization = .zeros
    let compact = try Adapter(
      configuration, at: adapter.sites, of: backbone, generator: Generator(seed: 0), initialSeed: nil)
    for site in adapter.sites {
      guard let source = adapter.corrections[site.name] as? ConsolidatorLayer,
        let target = compact.corrections[site.name] as? ConsolidatorLayer
      else { continue }
      let change = try GroupedDelta.folded(source.branches.flatMap { try $0.deltas })
      for values in change.factors { try target.branches[0].values.load(values) }
      if let shift = try source.shift(of: backbone.linear(at: site)) { try target.branches[0].bias?.load(shift) }
    }
    for name in adapter.tensors.keys {
      guard let source = adapter.tensors[name] as? TunedTensor, let target = compact.tensors[name] as? TunedTensor
      else {
        continue
      }
      try target.parameter.load(source.parameter.value)
    }
    return AdaptedModel(backbone: backbone, adapter: compact, head: head)
  }
}

public enum ConsolidationError: Error, Equatable, CustomStringConvertible {
  case method(String)

  public var description: String {
    switch self {
    case .method(let method):
      "An adapter of the method \(method) has no branches to consolidate. Save or merge it as it is."
    }
  }
}
