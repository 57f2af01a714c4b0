import NeuralNetworks
import Tensors

/// A method's trainable change of one backbone. It belongs to no copy of the backbone: the same frozen weights serve any
/// number of adapters at once.
public final class Adapter: Adaptation {
  public let configuration: any AdapterConfiguration
  /// Where it sits, in the backbone's order.
  public let sites: [Site]
  /// Everything that trains, each once.
  public let parameters: [Parameter]
  /// What belongs to it and does not train, each once: the members of a composition.
  public let frozen: [Parameter]
  /// What the generator that it started from was seeded with; nil where that is not known, as for a file of another program.
  public let initialSeed: UInt64?
  let corrections: [String: any SiteAdapter]
  let tensors: [String: any TensorAdapter]
  let branches: [String: any BranchAdapter]
  let sequence: (any SequenceAdapter)?
  /// The adapted parts of each map of which only parts are adapted, by the map's name, in the order of their rows.
  private let partedMaps: [String: [Site]]

  /// - Parameter generator: at the start of its stream, so that its seed says how the adapter started.
  /// - Throws: `AdapterError` where the configuration does not fit a site, or a site stands twice in the list.
  public convenience init(
    _ configuration: any AdapterConfiguration, at sites: [Site], of backbone: any Backbone, generator: Generator
  ) throws {
    try self.init(configuration, at: sites, of: backbone, generator: generator, initialSeed: generator.seed)
  }

  /// - Parameter initialSeed: nil for an adapter whose parameters are going to be read from elsewhere.
  init(
    _ configuration: any AdapterConfiguration, at sites: [Site], of backbone: any Backbone, generator: Generator,
    initialSeed: UInt64?
  ) throws {
    try Self.checkApart(sites)
    try configuration.validate(sites)
    let parts = try configuration.parts(for: sites, of: backbone, generator: generator)
    self.configuration = configuration
    self.sites = sites
    parameters = parts.parameters
    frozen = parts.frozen
    corrections = parts.corrections
    tensors = parts.tensors
    branches = parts.branches
    sequence = parts.sequence
    self.initialSeed = initialSeed
    var parted: [String: [Site]] = [:]
    for site in sites where parts.corrections[site.name] != nil {
      if let whole = site.whole { parted[whole.name, default: []].append(site) }
    }
    partedMaps = parted.mapValues { sites in
      sites.sorted { ($0.whole?.rows.lowerBound ?? 0) < ($1.whole?.rows.lowerBound ?? 0) }
    }
  }

  private static func checkApart(_ sites: [Site]) throws {
    var names: Set<String> = []
    for site in sites where !names.insert(site.name).inserted { throw AdapterError.twice(site.name) }
    for site in sites {
      if let whole = site.whole, names.contains(whole.name) { throw AdapterError.twice(site.name) }
    }
  }

  /// The adapter as it was before training: what task vectors are differences from. nil where the seed is not known.
  public func initial(of backbone: any Backbone) throws -> Adapter? {
    guard let initialSeed else { return nil }
    let initial = try Adapter(configuration, at: sites, of: backbone, generator: Generator(seed: initialSeed))
    for (copy, source) in zip(initial.frozen, frozen) { try copy.load(source.value) }
    return initial
  }

  /// Everything that files hold of it.
  public var stored: [Parameter] { parameters + frozen }

  /// Trainable numbers, the head's not among them.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

  public func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let linear = try tuned(linear)
    if let correction = corrections[linear.site.name] {
      return try correction.output(of: linear, input: input, pass: pass)
    }
    guard let parts = partedMaps[linear.site.name] else { return try linear(input) }
    let outputs = try Self.cut(linear, into: parts).map { part in
      try corrections[part.site.name]?.output(of: part, input: input, pass: pass) ?? part(input)
    }
    return try .concatenated(outputs, dimension: -1)
  }

  public func value(of name: String, original: Tensor) throws -> Tensor {
    try tensors[name]?.value(of: original) ?? original
  }

  public func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor {
    try branches[branch.name]?.output(state, pass: pass) ?? state.output
  }

  public func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor {
    try sequence?.sequence(tokens, entering: block, prefix: prefix, pass: pass) ?? tokens
  }

  /// The change of a map of the frozen backbone by the corrections at it or at its parts; nil where there is none or where
  /// it depends on the input. Tensors that are tuned themselves are no correction: `value(of:original:)` has them.
  public func delta(of linear: Linear) throws -> SiteDelta? { try delta(of: linear) { try $0.delta(of: $1) } }

  /// The same, with each correction's change as `change` gives it.
  func delta(of linear: Linear, _ change: (any SiteAdapter, Linear) throws -> SiteDelta?) throws -> SiteDelta? {
    let linear = try tuned(linear)
    if let correction = corrections[linear.site.name] { return try change(correction, linear) }
    guard let parts = partedMaps[linear.site.name] else { return nil }
    var weights: [(rows: Range<Int>, delta: any WeightDelta)] = []
    var bias: Tensor?
    for part in parts {
      guard let rows = part.whole?.rows else { continue }
      guard let correction = corrections[part.name], let delta = try change(correction, linear.part(rows, at: part))
      else { return nil }
      if let weight = delta.weight { weights.append((rows, weight)) }
      if let shift = delta.bias {
        let zeros = try bias ?? .zeros([linear.site.outFeatures], dtype: shift.dtype, device: shift.device)
        let before = try zeros.narrowed(0, 0..<rows.lowerBound)
        let after = try zeros.narrowed(0, rows.upperBound..<linear.site.outFeatures)
        bias = try .concatenated([before, shift, after])
      }
    }
    let stacked = weights.isEmpty ? nil : try StackedDelta(weights, outFeatures: linear.site.outFeatures)
    return SiteDelta(weight: stacked, bias: bias)
  }

  private func tuned(_ linear: Linear) throws -> Linear {
    guard !tensors.isEmpty else { return linear }
    return Linear(
      site: linear.site, weight: try value(of: "\(linear.site.name).weight", original: linear.weight),
      bias: try linear.bias.map { try value(of: "\(linear.site.name).bias", original: $0) })
  }

  /// The map in pieces: its adapted parts, and what lies between them.
  private static func cut(_ linear: Linear, into parts: [Site]) throws -> [Linear] {
    var pieces: [Linear] = []
    var next = 0
    func append(_ rows: Range<Int>, _ site: Site?) throws {
      guard !rows.isEmpty else { return }
      let whole = linear.site
      let site =
        site
        ?? Site(
          name: "\(whole.name)[\(rows)]", block: whole.block, role: whole.role, inFeatures: whole.inFeatures,
          outFeatures: rows.count, whole: Site.Whole(name: whole.name, rows: rows))
      pieces.append(try linear.part(rows, at: site))
    }
    for part in parts {
      guard let rows = part.whole?.rows else { continue }
      try append(next..<rows.lowerBound, nil)
      try append(rows, part)
      next = rows.upperBound
    }
    try append(next..<linear.site.outFeatures, nil)
    return pieces
  }
}
