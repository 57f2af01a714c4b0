import Adapters
import NeuralNetworks
import Synchronization
import Tensors

/// Mixes in the space of changes: one linear map after another, of which only the one at hand is ever dense.
struct DeltaMixer {
  private let mix: Mix
  private let backbone: any Backbone
  private let changes: MemberChanges
  private let depth: MixSchedule.Depth

  init(_ mix: Mix, _ backbone: any Backbone) throws {
    self.mix = mix
    self.backbone = backbone
    changes = try MemberChanges(mix.members, of: backbone)
    depth = MixSchedule.Depth(backbone)
  }

  /// What one map's mixture is written as.
  private enum Piece {
    case lowRank(down: Tensor, up: Tensor)
    case dense(Tensor)
  }

  private struct Mixed {
    let piece: Piece
    let norm: Double
    let relativeError: Double
    /// Of each member's own change there; 0 of one that does not take part.
    let memberNorms: [Double]
  }

  func outcome() throws -> Mix.Outcome {
    let places = changes.sites.map { depth.place(of: $0, backbone) } + changes.tensors.map { depth.place(of: $0.name) }
    try mix.schedule?.checkFilters(among: places)
    let rules = try changes.sites.map { try checkedRule(at: depth.place(of: $0, backbone)) }
    let isExact = rules.allSatisfy { $0.rule.isLinear }
    if mix.form == .concatenated, !isExact { throw MixtureError.notASum(type(of: rules[0].rule).name) }
    let mixed: [Mixed]
    if rules.contains(where: { $0.rule is KnOTS }) {
      mixed = try concurrently { try knotted(changes.sites[$0], rules[$0].rule, rules[$0].weights) }
    } else if isExact, let sums = try sums(rules) {
      mixed = sums
    } else {
      mixed = try elementwise(rules)
    }
    let tuned = try tunedTensors()
    let reported = zip(changes.sites, mixed).map { site, mixed in
      let rank: Int? = if case .lowRank(let down, _) = mixed.piece { down.shape[0] } else { nil }
      return MixReport.Place(name: site.name, rank: rank, relativeError: mixed.relativeError, norm: mixed.norm)
    }
    let takingPart = mix.members.indices.filter { member in rules.contains { $0.weights[member] != 0 } }
    let squares = takingPart.map { member in
      mixed.reduce(0) { $0 + $1.memberNorms[member] * $1.memberNorms[member] }
    }
    return Mix.Outcome(
      adapter: try adapter(mixed.map(\.piece), tuned), places: reported,
      norm: mixed.reduce(0) { $0 + $1.norm * $1.norm }.squareRoot(),
      meanMemberNorm: squares.reduce(0) { $0 + $1.squareRoot() } / Double(max(1, squares.count)),
      fromSharedStart: false, warnings: [])
  }

  private func checkedRule(at place: MixSchedule.Place) throws -> (rule: any MixingRule, weights: [Double]) {
    let (rule, weights) = try mix.rule(at: place)
    try rule.checked(weights: weights, members: mix.members.map(\.name))
    return (rule, weights)
  }

  /// What `body` makes of each site that it makes something of, in their order.
  private func concurrently(_ body: (Int) throws -> Mixed?) throws -> [Mixed] {
    let results = Mutex<[Mixed?]>(Array(repeating: nil, count: changes.sites.count))
    try EntryMixer.concurrently(changes.sites.count) { index in
      let mixed = try withoutGradients { try body(index) }
      results.withLock { $0[index] = mixed }
    }
    return results.withLock { $0.compactMap { $0 } }
  }

  // MARK: Weighted sums, from the factors

  /// nil where a member's change has no low-rank form and the mixture is dense anyway.
  private func sums(_ rules: [(rule: any MixingRule, weights: [Double])]) throws -> [Mixed]? {
    guard mix.form != .dense else { return nil }
    let mixed = try concurrently { try sum(at: changes.sites[$0], rules[$0].rule, rules[$0].weights) }
    return mixed.count == changes.sites.count ? mixed : nil
  }

  private func sum(at site: Site, _ rule: any MixingRule, _ weights: [Double]) throws -> Mixed? {
    let members = weights.indices.filter { weights[$0] != 0 }
    let coefficients = try rule.coefficients(members.map { weights[$0] })
    let deltas = try weights.indices.map { member in
      weights[member] == 0 ? nil : try changes.change(of: site, by: member)?.mapFactors { try $0.detached() }
    }
    let terms = zip(members, coefficients).compactMap { member, coefficient in
      deltas[member].map { (weight: coefficient, delta: $0) }
    }
    let norms = try deltas.map { try $0?.norm() ?? 0 }
    guard !terms.isEmpty else { return try nothing(at: site, norms) }
    let sum = try SumDelta(terms)
    let norm = try checked(sum.norm(), at: site)
    if case .rank(let rank) = mix.form {
      let exact = try sum.to(.float32).lowRank?.down.shape[0] ?? .max
      let approximation = try sum.to(.float32).approximation(rank: min(rank, exact))
      return Mixed(
        piece: .lowRank(down: approximation.delta.down, up: approximation.delta.up), norm: norm,
        relativeError: approximation.relativeError, memberNorms: norms)
    }
    guard let exact = try sum.to(.float32).lowRank else {
      guard mix.form == .concatenated else { return nil }
      throw MixtureError.noFactors(site.name)
    }
    let up = try exact.up * exact.scale
    guard try exact.down.isAllFinite(), try up.isAllFinite() else {
      throw MixtureError.notFinite(site.name, member: nil)
    }
    return Mixed(piece: .lowRank(down: exact.down, up: up), norm: norm, relativeError: 0, memberNorms: norms)
  }

  /// - Throws: `MixtureError.notFinite` for the norm of a change that float32 cannot hold.
  private func checked(_ norm: Double, at site: Site) throws(MixtureError) -> Double {
    guard norm <= Double(Float.greatestFiniteMagnitude) else { throw .notFinite(site.name, member: nil) }
    return norm
  }

  /// Where no member that takes part changes the map.
  private func nothing(at site: Site, _ norms: [Double]) throws -> Mixed {
    Mixed(
      piece: .lowRank(down: try .zeros([1, site.inFeatures]), up: try .zeros([site.outFeatures, 1])), norm: 0,
      relativeError: 0, memberNorms: norms)
  }

  // MARK: Rules for numbers

  private func elementwise(_ rules: [(rule: any MixingRule, weights: [Double])]) throws -> [Mixed] {
    let sites = changes.sites
    let entries = zip(sites, rules).map { site, rule in
      EntryMixer.Entry(
        name: site.name, shape: [site.outFeatures, site.inFeatures], isWeight: true, rule: rule.rule,
        weights: rule.weights)
    }
    let mixer = EntryMixer(
      entries: entries, memberNames: mix.members.map(\.name), seed: mix.seed, conventions: mix.conventions)
    let norms = Mutex(
      [[Double]](repeating: [Double](repeating: 0, count: mix.members.count), count: sites.count))
    let pieces = Mutex<[(piece: Piece, norm: Double, relativeError: Double)?]>(
      Array(repeating: nil, count: sites.count))
    try mixer.run { index, member, numbers in
      guard let change = try withoutGradients({ try changes.change(of: sites[index], by: member) }) else {
        numbers.initialize(repeating: 0)
        return
      }
      let dense = try change.to(.float32).materialized().detached().to(.cpu).contiguous()
      try dense.withMutableElements(of: Float.self) { _ = numbers.initialize(fromContentsOf: $0) }
      let norm = dot(numbers, numbers).squareRoot()
      norms.withLock { $0[index][member] = norm }
    } store: { index, numbers in
      let norm = dot(numbers, numbers).squareRoot()
      let matrix = try Tensor(Array(numbers), shape: [sites[index].outFeatures, sites[index].inFeatures])
      let (piece, error) = try withoutGradients { try written(matrix) }
      pieces.withLock { $0[index] = (piece, norm, error) }
    }
    return try zip(pieces.withLock { $0 }, norms.withLock { $0 }).map { piece, norms in
      guard let piece else { throw MixtureError.empty }
      return Mixed(
        piece: piece.piece, norm: piece.norm, relativeError: piece.relativeError, memberNorms: norms)
    }
  }

  private func written(_ matrix: Tensor) throws -> (Piece, Double) {
    guard case .rank(let rank) = mix.form else { return (.dense(matrix), 0) }
    let leading = try LeadingSingularVectors(of: matrix, count: rank)
    return (.lowRank(down: leading.down, up: leading.up), leading.relativeError)
  }

  // MARK: KnOTS

  /// With the members' changes stacked as columns, `[ΔW₁ … ΔWₖ] = U S [V₁ᵀ … Vₖᵀ]`, by the eigenvectors of `Σ ΔWᵢ ΔWᵢᵀ`.
  private func knotted(_ site: Site, _ rule: any MixingRule, _ weights: [Double]) throws -> Mixed {
    let members = weights.indices.filter { weights[$0] != 0 }
    let deltas = try weights.indices.map { member in
      weights[member] == 0
        ? nil : try changes.change(of: site, by: member)?.mapFactors { try $0.detached() }.to(.float64)
    }
    let norms = try deltas.map { try $0?.norm() ?? 0 }
    let present = members.compactMap { deltas[$0] }
    guard !present.isEmpty else { return try nothing(at: site, norms) }
    let (basis, coordinates) = try SharedBasis.of(present, width: site.outFeatures)
    let rank = basis.shape[1]
    var right = [Tensor?](repeating: nil, count: mix.members.count)
    var next = 0
    for member in members where deltas[member] != nil {
      right[member] = coordinates.right[next]
      next += 1
    }
    let entry = EntryMixer.Entry(
      name: site.name, shape: [rank, site.inFeatures], isWeight: true, rule: rule, weights: weights)
    let mixer = EntryMixer(
      entries: [entry], memberNames: mix.members.map(\.name), seed: mix.seed, conventions: mix.conventions)
    let mixture = Mutex<Tensor?>(nil)
    try mixer.run { _, member, numbers in
      guard let own = try right[member]?.to(.float32).contiguous() else {
        numbers.initialize(repeating: 0)
        return
      }
      try own.withMutableElements(of: Float.self) { _ = numbers.initialize(fromContentsOf: $0) }
    } store: { _, numbers in
      let tensor = try Tensor(Array(numbers), shape: [rank, site.inFeatures])
      mixture.withLock { $0 = tensor }
    }
    guard let down = mixture.withLock({ $0 }) else { throw MixtureError.empty }
    let up = try (basis * coordinates.values).to(.float32)
    let product = LowRankDelta(down: down, up: up)
    let norm = try checked(product.norm(), at: site)
    switch mix.form {
    case .rank(let wanted):
      let approximation = try product.approximation(rank: min(wanted, rank))
      return Mixed(
        piece: .lowRank(down: approximation.delta.down, up: approximation.delta.up), norm: norm,
        relativeError: approximation.relativeError, memberNorms: norms)
    case .automatic where rank * (site.inFeatures + site.outFeatures) < site.inFeatures * site.outFeatures,
      .concatenated:
      return Mixed(piece: .lowRank(down: down, up: up), norm: norm, relativeError: 0, memberNorms: norms)
    case .automatic, .dense:
      return Mixed(piece: .dense(try product.materialized()), norm: norm, relativeError: 0, memberNorms: norms)
    }
  }

  // MARK: The result

  /// The tensors beside the linear maps, mixed: the original, and the sum of the members' differences.
  private func tunedTensors() throws -> [(name: String, tensor: Tensor)] {
    try changes.tensors.map { name, original in
      let (rule, weights) = try checkedRule(at: depth.place(of: name))
      let members = weights.indices.filter { weights[$0] != 0 }
      var sum = try original.to(.float64)
      for (member, coefficient) in zip(members, try rule.coefficients(members.map { weights[$0] })) {
        guard let change = try changes.change(of: name, by: member) else { continue }
        sum = try sum + change.to(.float64) * coefficient
      }
      let tensor = try sum.to(.float32)
      guard try tensor.isAllFinite() else { throw MixtureError.notFinite(name, member: nil) }
      return (name, tensor)
    }
  }

  private func adapter(_ pieces: [Piece], _ tuned: [(name: String, tensor: Tensor)]) throws -> Adapter {
    let ranks = pieces.map { piece in if case .lowRank(let down, _) = piece { down.shape[0] } else { nil as Int? } }
    let sites = changes.sites
    var values: [String: Tensor] = Dictionary(tuned.map { ($0.name, $0.tensor) }) { first, _ in first }
    let configuration: any AdapterConfiguration
    if !pieces.isEmpty, ranks.allSatisfy({ $0 != nil }) {
      var lora = LoRA(rank: ranks.compactMap { $0 }.max() ?? 1)
      lora.alpha = Double(lora.rank)
      for (site, rank) in zip(sites, ranks) {
        guard let rank, rank != lora.rank else { continue }
        lora.overrides[site.name] = SiteOverride(rank: rank, alpha: Double(rank))
      }
      lora.tunedTensors = tuned.map(\.name)
      configuration = lora
    } else {
      configuration = DeltaTuning(tunedTensors: tuned.map(\.name))
    }
    for (site, piece) in zip(sites, pieces) {
      switch piece {
      case .lowRank(let down, let up) where configuration is LoRA:
        (values["\(site.name).lora_A"], values["\(site.name).lora_B"]) = (down, up)
      case .lowRank(let down, let up): values["\(site.name).delta"] = try up.matmul(down)
      case .dense(let matrix): values["\(site.name).delta"] = matrix
      }
    }
    let adapter = try Adapter(unseeded: configuration, at: sites, of: backbone)
    for parameter in adapter.parameters {
      guard let value = values[parameter.name] else {
        throw MixingError.layout("'\(parameter.name)'", "no such number")
      }
      try parameter.load(value.to(parameter.value.device))
    }
    return adapter
  }
}
