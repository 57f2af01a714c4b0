import NeuralNetworks
import Tensors

/// Adapters made part of a backbone's own tensors: each tensor `T` becomes
///
///     T + Σᵢ weightᵢ · (Tᵢ − T)
///
/// where `Tᵢ` is what the i-th adapter alone makes of it: `W + ΔW` and `b + Δb` at a corrected map, the tuned value of a tensor
/// that trains itself. The adapters may be of different methods, structures, ranks and sites. Formed in float64 and rounded
/// once to float32.
///
/// With one adapter of weight 1 the merged backbone computes what the adapted one does. With several, corrections of one map
/// add up exactly; that the outputs of several networks would add up is not claimed.
public struct Merge: Sendable {
  /// An adapter and how much of its change is taken.
  public struct Term: Sendable {
    public let model: AdaptedModel
    /// 1 for all of it; negative numbers take it away.
    public let weight: Double
    /// For a mixture: the gate of each expert at each site, by the site's name, in place of the router's. The merge is then
    /// an approximation, `Σₑ gₑ ΔWₑ + β`.
    public let gates: [String: [Double]]?

    public init(_ model: AdaptedModel, weight: Double = 1, gates: [String: [Double]]? = nil) {
      self.model = model
      self.weight = weight
      self.gates = gates
    }
  }

  public let terms: [Term]
  /// The tensors that change, by the backbone's names, in its shapes, float32.
  public let tensors: [String: Tensor]

  /// - Throws: `MergeError` for an adapter that is of another backbone, has no place in the weights or none in these, or makes
  ///   numbers that are not finite.
  public init(_ terms: [Term], into backbone: any Backbone) throws {
    self.terms = terms
    for term in terms { try Self.check(term, backbone) }
    tensors = try withoutGradients {
      var sums: [String: Tensor] = [:]
      for (name, original) in backbone.tensors {
        for term in terms {
          guard let tuned = try term.model.adapter.tensors[name]?.value(of: original).detached() else { continue }
          let base = try original.to(.float64)
          sums[name] = try (sums[name] ?? base) + (tuned.to(.float64) - base) * term.weight
        }
      }
      for site in backbone.sites {
        let linear = try backbone.linear(at: site)
        try Self.add(Self.change(of: linear, by: terms), to: linear, into: &sums)
      }
      return try Self.rounded(sums)
    }
  }

  /// Takes adapters out of a backbone that they were merged into: `T − Σᵢ weightᵢ · ΔWᵢ`, up to rounding. What is kept of the
  /// old weights, or the old backbone itself, gives them back exactly; this is for when there is neither.
  ///
  /// - Parameter terms: the adapters on the merged backbone.
  /// - Returns: the tensors that change.
  /// - Throws: `MergeError.notSubtractable` where the change depends on the weight that is gone.
  public static func removing(_ terms: [Term], from backbone: any Backbone) throws -> [String: Tensor] {
    for term in terms { try check(term, backbone) }
    return try withoutGradients {
      var sums: [String: Tensor] = [:]
      for term in terms {
        if let tuned = term.model.adapter.tensors.keys.min() { throw MergeError.notSubtractable(tuned) }
      }
      for site in backbone.sites {
        let linear = try backbone.linear(at: site)
        guard let change = try Self.change(of: linear, by: terms) else { continue }
        // A change that depends on the weight is another one where the weight is.
        let other = Linear(site: site, weight: try linear.weight * 2, bias: try linear.bias.map { try $0 * 2 })
        guard let again = try Self.change(of: other, by: terms), try isEqual(change, again) else {
          throw MergeError.notSubtractable("\(site.name).weight")
        }
        let taken = SiteDelta(weight: try change.weight?.scaled(by: -1), bias: try change.bias?.negated())
        try add(taken, to: linear, into: &sums)
      }
      return try rounded(sums)
    }
  }

  // MARK: Parts

  private static func check(_ term: Term, _ backbone: any Backbone) throws {
    let (model, adapter) = (term.model, term.model.adapter)
    let method = type(of: adapter.configuration).method
    guard term.weight.isFinite else { throw MergeError.weight(method: method, term.weight) }
    guard model.backbone.fingerprint == backbone.fingerprint else {
      throw MergeError.otherBackbone(method: method, expected: model.backbone.fingerprint, found: backbone.fingerprint)
    }
    if let obstacle = adapter.configuration.obstacleToMerging, term.gates == nil {
      throw MergeError.obstacle(method: method, obstacle)
    }
    if let branch = adapter.branches.keys.min() { throw MergeError.noLinearChange(method: method, branch) }
    if adapter.sequence != nil { throw MergeError.noLinearChange(method: method, "the sequence of tokens") }
    for parameter in adapter.stored where try !parameter.value.detached().isAllFinite() {
      throw MergeError.notFinite(parameter.name)
    }
  }

  /// The weighted sum of what the adapters change at a map; nil where none of them does.
  private static func change(of linear: Linear, by terms: [Term]) throws -> SiteDelta? {
    var weights: [(weight: Double, delta: any WeightDelta)] = []
    var bias: Tensor?
    for term in terms where term.model.adapter.corrects(linear.site) {
      let delta = try term.model.adapter.delta(of: linear) { correction, part in
        guard let gates = term.gates, let mixture = correction as? MixtureLayer else {
          return try correction.delta(of: part)
        }
        guard let own = gates[part.site.name] else { throw MergeError.noGates(part.site.name) }
        return try mixture.delta(gates: own)
      }
      guard let delta else {
        let method = type(of: term.model.adapter.configuration).method
        throw MergeError.noLinearChange(method: method, linear.site.name)
      }
      if let weight = delta.weight { weights.append((term.weight, weight)) }
      if let shift = delta.bias {
        let shift = try shift.detached().to(.float64) * term.weight
        bias = try bias.map { try $0 + shift } ?? shift
      }
    }
    guard !weights.isEmpty || bias != nil else { return nil }
    return SiteDelta(weight: weights.isEmpty ? nil : try SumDelta(weights), bias: bias)
  }

  private static func add(_ change: SiteDelta?, to linear: Linear, into sums: inout [String: Tensor]) throws {
    guard let change else { return }
    if let delta = change.weight {
      let name = "\(linear.site.name).weight"
      sums[name] = try (sums[name] ?? linear.weight.to(.float64)) + delta.to(.float64).materialized().detached()
    }
    if let shift = change.bias {
      let name = "\(linear.site.name).bias"
      guard let bias = linear.bias else { throw MergeError.noBias(linear.site.name) }
      sums[name] = try (sums[name] ?? bias.to(.float64)) + shift.to(.float64)
    }
  }

  private static func rounded(_ sums: [String: Tensor]) throws -> [String: Tensor] {
    var rounded: [String: Tensor] = [:]
    for (name, sum) in sums.sorted(by: { $0.key < $1.key }) {
      let tensor = try sum.to(.float32)
      guard try tensor.isAllFinite() else { throw MergeError.notFinite(name) }
      rounded[name] = tensor
    }
    return rounded
  }

  private static func isEqual(_ one: SiteDelta, _ other: SiteDelta) throws -> Bool {
    func isEqual(_ one: Tensor?, _ other: Tensor?) throws -> Bool {
      switch (one, other) {
      case (let one?, let other?): try one.isEqual(to: other)
      case (nil, nil): true
      default: false
      }
    }
    return try isEqual(one.bias, other.bias)
      && isEqual(one.weight?.materialized().detached(), other.weight?.materialized().detached())
  }
}

extension Adapter {
  /// Whether something stands at a map or at a part of it.
  func corrects(_ site: Site) -> Bool {
    corrections[site.name] != nil || site.parts.contains { corrections[$0.name] != nil }
  }
}

/// Adapters that cannot become part of a backbone's weights.
public enum MergeError: Error, Equatable, CustomStringConvertible {
  case weight(method: String, Double)
  case otherBackbone(method: String, expected: String, found: String)
  case obstacle(method: String, String)
  case noLinearChange(method: String, String)
  case noBias(String)
  case noGates(String)
  case notFinite(String)
  case notSubtractable(String)

  public var description: String {
    switch self {
    case .weight(let method, let weight):
      "The weight of the \(Self.name(method)) adapter is \(weight); it must be finite."
    case .otherBackbone(let method, let expected, let found):
      """
      The \(Self.name(method)) adapter belongs to the network \(expected.prefix(12))…, and this one is \
      \(found.prefix(12))…. Merge it into the network it was trained on.
      """
    case .obstacle(let method, let reason): "A \(Self.name(method)) adapter does not merge into the weights: \(reason)."
    case .noLinearChange(let method, let place):
      "A \(Self.name(method)) adapter does not merge into the weights: at \(place) it is no change of a linear map."
    case .noBias(let site):
      """
      The map '\(site)' has no bias, and the adapter adds one to it: a checkpoint of the same tensors has no place for it. \
      Keep the adapter beside the model, or train one without a bias there.
      """
    case .noGates(let site):
      "No gates were measured for the mixture at '\(site)'. Run the probe through the adapted model."
    case .notFinite(let name):
      """
      '\(name)' holds NaN or infinity, so nothing was merged. The run that made the adapter has diverged, or the weight it \
      is merged with is too large.
      """
    case .notSubtractable(let name):
      """
      '\(name)' cannot be restored from the merged weights: its change depends on the value that it replaced. Give the \
      unmerged model, or merge keeping the originals.
      """
    }
  }

  private static func name(_ method: String) -> String { method.lowercased().replacing("_", with: "-") }
}
