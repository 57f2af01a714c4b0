import Adapters
import Formats
import NeuralNetworks
import Tensors

/// Mixes the parameters of adapters of one method, of the same settings, at the same sites.
struct FactorMixer {
  private let mix: Mix
  private let backbone: any Backbone
  private let depth: MixSchedule.Depth

  init(_ mix: Mix, _ backbone: any Backbone) throws {
    self.mix = mix
    self.backbone = backbone
    depth = MixSchedule.Depth(backbone)
    let first = mix.members[0]
    for member in mix.members.dropFirst() {
      let (one, other) = (first.model.adapter, member.model.adapter)
      let (settings, others) = (try Self.settings(one), try Self.settings(other))
      guard settings == others else { throw MixingError.layout(settings, others) }
      try AdapterLayout(one).check(against: AdapterLayout(other))
    }
  }

  /// What must be equal for parameters to mean the same: the method and its settings, but for what only training looks at.
  private static func settings(_ adapter: Adapter) throws -> String {
    var settings = try adapter.configuration.settings()
    settings["dropout"] = nil
    settings["initialization"] = nil
    return try type(of: adapter.configuration).method.lowercased() + " " + JSONValue.object(settings).text()
  }

  func outcome() throws -> Mix.Outcome {
    let adapters = mix.members.map(\.model.adapter)
    let vectors = try adapters.map { try AdapterVector($0) }
    let layout = vectors[0].layout
    try mix.schedule?.checkFilters(among: layout.entries.map { depth.place(of: $0.name) })
    var rules = try layout.entries.map { try mix.rule(at: depth.place(of: $0.name)) }
    let takingPart = vectors.indices.filter { member in rules.contains { $0.weights[member] != 0 } }
    try checkFrozen(takingPart)
    let (initial, shared, warnings) =
      mix.space == .factors ? try start(takingPart.map { adapters[$0] }) : (nil, false, [])
    let frozen = adapters[takingPart.first ?? 0].frozen
    var configuration = adapters[0].configuration
    if mix.space == .peftFactors { (rules, configuration) = try peftRules(rules, layout) }
    let mixed = try VectorMixer(
      vectors, names: mix.members.map(\.name), rules: rules, initial: initial,
      conventions: mix.space == .peftFactors ? .peft : mix.conventions
    ).mixed(seed: mix.seed)
    let adapter = try Adapter(unseeded: configuration, at: adapters[0].sites, of: backbone)
    for (copy, source) in zip(adapter.frozen, frozen) { try copy.load(source.value) }
    try mixed.load(into: adapter)
    let places = layout.entries.map { entry in
      MixReport.Place(name: entry.name, rank: nil, relativeError: 0, norm: Self.norm(mixed.values[entry.range]))
    }
    return Mix.Outcome(
      adapter: adapter, places: places, norm: Self.norm(mixed.values[...]),
      meanMemberNorm: takingPart.reduce(0) { $0 + Self.norm(vectors[$1].values[...]) }
        / Double(max(1, takingPart.count)),
      fromSharedStart: shared, warnings: warnings)
  }

  private static func norm(_ values: ArraySlice<Float>) -> Double {
    values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
  }

  /// Parts that do not train, as the members of a composition, are part of what the parameters mean.
  private func checkFrozen(_ takingPart: [Int]) throws {
    guard let first = takingPart.first else { return }
    let (name, parts) = (mix.members[first].name, mix.members[first].model.adapter.frozen)
    for member in takingPart.dropFirst().map({ mix.members[$0] }) {
      let others = member.model.adapter.frozen
      guard others.count == parts.count else {
        throw MixingError.layout("\(parts.count) frozen tensors", "\(others.count)")
      }
      for (part, other) in zip(parts, others) {
        guard part.name == other.name, try part.value.detached().isEqual(to: other.value.detached()) else {
          throw MixtureError.otherParts(other.name, member.name, of: name)
        }
      }
    }
  }

  /// `θ⁰`: what all members started from. Where their seeds or their initializations differ, only the parameters that start
  /// alike from all are known, and the others are taken from zero.
  private func start(_ adapters: [Adapter]) throws -> (initial: AdapterVector?, shared: Bool, warnings: [String]) {
    guard adapters.count > 1 else { return (nil, false, []) }
    let seeds = Set(adapters.map(\.initialSeed))
    var kinds: [String: any AdapterConfiguration] = [:]
    for adapter in adapters {
      let initialization = try adapter.configuration.settings()["initialization"]?.text() ?? ""
      kinds[initialization] = kinds[initialization] ?? adapter.configuration
    }
    if kinds.count == 1, seeds.count == 1, let seed = seeds.first, seed != nil,
      let start = try adapters[0].initial(of: backbone)
    {
      return (try AdapterVector(start), true, [])
    }
    let starts = try kinds.values.flatMap { configuration in
      try [UInt64(0), 1].map { seed in
        let adapter = try Adapter(
          configuration, at: adapters[0].sites, of: backbone, generator: Generator(seed: seed))
        for (copy, source) in zip(adapter.frozen, adapters[0].frozen) { try copy.load(source.value) }
        return try AdapterVector(adapter)
      }
    }
    // Of what is alike in all of them, any one will do.
    var start = starts[0]
    var unknown = false
    for entry in start.layout.entries
    where starts.contains(where: { $0.values[entry.range] != starts[0].values[entry.range] }) {
      for index in entry.range { start.values[index] = 0 }
      unknown = true
    }
    guard unknown else { return (start, true, []) }
    return (
      start, false,
      [
        """
        the members did not start alike, from one seed that their files name: their parameters are mixed as they are, and \
        hidden units that do not correspond are averaged. Mix in the space of changes where the method merges, or align \
        them first
        """
      ]
    )
  }

  /// The weights of the factors as PEFT has them: `√|w · scale|` for `A` and for `B`, the sign with `A`.
  private func peftRules(_ rules: [(rule: any MixingRule, weights: [Double])], _ layout: AdapterLayout) throws -> (
    [(rule: any MixingRule, weights: [Double])], any AdapterConfiguration
  ) {
    let first = mix.members[0]
    guard let lora = first.model.adapter.configuration as? LoRA, lora.overrides.isEmpty, !lora.hasBias,
      lora.tunedTensors.isEmpty
    else {
      let method = type(of: first.model.adapter.configuration).method
      throw MixtureError.needsLoRA(first.name, method: method.lowercased())
    }
    var result = lora
    (result.alpha, result.rankStabilized) = (Double(lora.rank), false)
    let factored = try zip(rules, layout.entries).map { rule, entry in
      let sum = rule.rule.isLinear
      var weights = rule.weights
      if sum {
        // Those of weight zero are left out, so that they have no share in a mean.
        let members = weights.indices.filter { weights[$0] != 0 }
        for (member, share) in zip(members, try rule.rule.coefficients(members.map { weights[$0] })) {
          weights[member] = share
        }
      }
      weights = weights.map { $0 * lora.scale }
      let isDown = entry.name.hasSuffix(".lora_A")
      let roots = weights.map { ($0 < 0 && isDown ? -1 : 1) * $0.magnitude.squareRoot() }
      return (rule: sum ? TaskArithmetic() : rule.rule, weights: roots)
    }
    return (factored, result)
  }
}
