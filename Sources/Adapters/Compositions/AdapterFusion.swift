import NeuralNetworks
import Tensors

/// Attention over the outputs of trained bottleneck adapters: each token of a new task takes what it needs from each of
/// them.
///
/// Pfeiffer et al. 2020, "AdapterFusion", arXiv:2005.00247. At a residual branch with output `y` and the
/// members' contributions `zᵢ` (what each alone adds to `y`):
///
///     s = softmaxᵢ((Q·y + q) · (K·zᵢ))        y + V · Σᵢ sᵢ zᵢ
///
/// The members stay frozen; `Q`, `K` and `V` train on the new task, beside `regularization · ‖V − I‖²` in the loss. For
/// a stream of width `d`, at the branch `NAME`:
///
/// | parameter                  | shape    | starts as                                        |
/// |----------------------------|----------|--------------------------------------------------|
/// | `NAME.fusion.query.weight` | `[d, d]` | normal, standard deviation 0.02                  |
/// | `NAME.fusion.query.bias`   | `[d]`, q | zeros                                            |
/// | `NAME.fusion.key.weight`   | `[d, d]` | normal, standard deviation 0.02                  |
/// | `NAME.fusion.value.weight` | `[d, d]` | identity, 10⁻⁶ off the diagonal                  |
///
/// Where one member stands alone there is nothing to choose: only `V` trains there, and the others would never learn.
///
/// The starts and the weight of the penalty are AdapterHub's. Its keys have a bias too, which adds the same to every
/// member's score and so changes nothing: it is left out. Its query in a network that normalizes after the sum is what
/// a member reads; here it is the branch's output everywhere, as in the paper. It drops scores at the network's
/// own attention dropout; here none are. Members run as they are used, without dropout.
public struct AdapterFusion: Composition {
  public static let method = "ADAPTER_FUSION"
  public static let summary = "attention over the outputs of frozen bottlenecks"
  public static let paper: String? = "arXiv:2005.00247"
  public static let placement = AdapterPlacement.backbone

  /// Of bottleneck methods, at branches that they need not have in common.
  public var members: [CompositionMember]
  /// Weight of `‖V − I‖²` at each branch; zero leaves it out.
  public var regularization = 0.01
  /// Standard deviation of fresh `Q` and `K`.
  public var deviation = 0.02

  /// Two Pfeiffer adapters.
  public init() { members = [CompositionMember("first", Pfeiffer()), CompositionMember("second", Pfeiffer())] }

  public init(of members: [CompositionMember]) { self.members = members }

  public init(of adapters: [(name: String, adapter: Adapter)]) {
    self.init(of: adapters.map { CompositionMember($0.name, $0.adapter) })
  }

  public var obstacleToMerging: String? {
    "its attention over the members depends on the token, so no one weight gives the same outputs"
  }

  public func validate(_ sites: [Site]) throws {
    try validateMembers()
    guard regularization >= 0, regularization.isFinite else {
      throw AdapterError.outOfRange("regularization", regularization, "0 or more")
    }
    guard deviation > 0, deviation <= 1e6 else {
      throw AdapterError.outOfRange("deviation", deviation, "above 0, and 1e+06 or less")
    }
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let adapters = try frozenMembers(of: backbone, generator: generator)
    for (name, adapter) in adapters {
      guard !adapter.branches.isEmpty, adapter.corrections.isEmpty, adapter.tensors.isEmpty, adapter.sequence == nil
      else { throw CompositionError.notBottleneck(name, method: type(of: adapter.configuration).method) }
    }
    var parts = AdapterParts()
    for branch in backbone.branches {
      let members = adapters.compactMap { $0.adapter.branches[branch.name] }
      guard !members.isEmpty else { continue }
      let layer = try FusionLayer(self, of: members, at: branch, device: backbone.device, generator: generator)
      parts.branches[branch.name] = layer
      parts.parameters += layer.parameters
    }
    try parts.freeze(adapters)
    return parts
  }
}

/// The fusion at one residual branch.
struct FusionLayer: BranchAdapter {
  let members: [any BranchAdapter]
  /// nil for one member.
  let attention: Attention?
  let value: Parameter
  let regularization: Double

  struct Attention {
    let query, queryBias, key: Parameter
  }

  var parameters: [Parameter] { (attention.map { [$0.query, $0.queryBias, $0.key] } ?? []) + [value] }

  init(
    _ configuration: AdapterFusion, of members: [any BranchAdapter], at branch: Branch, device: Device,
    generator: Generator
  ) throws {
    let width = branch.width
    func normal() throws -> Tensor {
      try .normal([width, width], deviation: configuration.deviation, device: device, from: generator)
    }
    let name = "\(branch.name).fusion"
    attention =
      members.count == 1
      ? nil
      : Attention(
        query: try Parameter("\(name).query.weight", normal()),
        queryBias: try Parameter("\(name).query.bias", .zeros([width], device: device)),
        key: try Parameter("\(name).key.weight", normal()))
    let identity = try Tensor.identity(width).to(device)
    value = try Parameter("\(name).value.weight", identity * (1 - 1e-6) + 1e-6)
    self.members = members
    regularization = configuration.regularization
  }

  func output(_ state: BranchState, pass: ForwardPass) throws -> Tensor {
    let y = state.output
    let contributions = try members.map { try $0.output(state, pass: ForwardPass()) - y }
    if pass.isTraining, regularization > 0 {
      let identity = try Tensor.identity(value.value.shape[0]).to(value.value.device)
      pass.add(auxiliaryLoss: try (value.value - identity).squared().sum() * regularization)
    }
    return try y + attended(contributions, asking: y).linear(value.value).to(y.dtype)
  }

  /// `Σᵢ sᵢ zᵢ`; `V` of the sum is the sum of the `V · zᵢ`.
  private func attended(_ contributions: [Tensor], asking y: Tensor) throws -> Tensor {
    guard let attention else { return contributions[0] }
    let stacked = try Tensor.stacked(contributions, dimension: -2)  // [batch, tokens, members, width]
    // A score (Q·y + q) · (K·zᵢ) is zᵢ · (Kᵀ·(Q·y + q)): no product is made for each member.
    let asked = try y.linear(attention.query.value, attention.queryBias.value).matmul(attention.key.value)
    let scores = try (asked.unsqueezed(-2) * stacked).sum(-1)  // [batch, tokens, members]
    return try (scores.softmax().unsqueezed(-1) * stacked).sum(-2)
  }
}
