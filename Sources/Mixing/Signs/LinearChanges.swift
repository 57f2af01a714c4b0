import Adapters
import NeuralNetworks
import Tensors

/// The changes `ΔW` that several adapters make to the linear maps of their backbone, map by map: nothing dense is made until one
/// map's turn comes.
struct LinearChanges {
  let models: [AdaptedModel]
  let names: [String]
  /// The maps that any of the adapters changes, in the backbone's order: parts of a map where all adapt parts of it.
  let sites: [Site]

  /// - Throws: `MixingError.noAdapters`, `.layout` for adapters of different backbones, `.noChange` for one whose change depends on the
  ///   input.
  init(_ models: [AdaptedModel], names: [String]) throws {
    guard let backbone = models.first?.backbone else { throw MixingError.noAdapters }
    for (model, name) in zip(models, names) {
      guard model.backbone.fingerprint == backbone.fingerprint else {
        throw MixingError.layout(
          "the backbone \(backbone.fingerprint.prefix(12))…", "\(model.backbone.fingerprint.prefix(12))…")
      }
      if let obstacle = model.adapter.configuration.obstacleToMerging { throw MixingError.noChange(name, obstacle) }
    }
    self.models = models
    self.names = names
    let adapted = Set(models.flatMap { $0.adapter.sites.map(\.name) })
    sites = backbone.sites.flatMap { site in
      adapted.contains(site.name) ? [site] : site.parts.filter { adapted.contains($0.name) }
    }
  }

  /// What each adapter changes of a map; nil for one that leaves it alone.
  func at(_ site: Site) throws -> [(any WeightDelta)?] { try models.map { try Self.change(of: site, by: $0) } }

  private static func change(of site: Site, by model: AdaptedModel) throws -> (any WeightDelta)? {
    let linear = try model.backbone.linear(at: site)
    let corrected = try model.adapter.delta(of: linear)?.weight
    let name = "\(site.whole?.name ?? site.name).weight"
    let original = try model.backbone.linear(
      at: site.whole.map { whole in
        model.backbone.sites.first { $0.name == whole.name } ?? site
      } ?? site
    ).weight
    let tuned = try model.adapter.value(of: name, original: original)
    // An adapter that leaves the tensor alone hands the very same one back.
    guard !tuned.sharesStorage(with: original) else { return corrected }
    let rows = site.whole?.rows ?? 0..<original.shape[0]
    let difference = DenseDelta(try (tuned.detached() - original).narrowed(0, rows))
    return try corrected.map { try SumDelta([(1, $0), (1, difference)]) } ?? difference
  }
}

extension SignStatistics {
  /// The signs of adapters of one backbone, in the space that the options name. In the space of changes the adapters may be of
  /// different methods, ranks and sites; an adapter has no sign at a map that it leaves alone. One map is dense at a time.
  ///
  /// - Throws: as `init(_:names:initial:options:)`, and `MixingError.noChange` for an adapter that has no `ΔW`.
  public init(of models: [AdaptedModel], names: [String], options: SignOptions = SignOptions()) throws {
    guard names.count == models.count else { throw MixingError.count(names.count, expected: models.count) }
    let initial = try options.reference == .raw ? nil : Self.initial(of: models, names: names)
    guard options.space == .delta else {
      try self.init(
        models.map { try AdapterVector($0.adapter) }, names: names,
        initial: initial?.map { try AdapterVector($0.adapter) },
        options: options)
      return
    }
    let changes = try LinearChanges(models, names: names)
    let starts = try initial.map { try LinearChanges($0, names: names) }
    var packed = [SignBits](repeating: SignBits(), count: models.count)
    try withoutGradients {
      for site in changes.sites {
        let before = try starts?.at(site)
        for (index, change) in try changes.at(site).enumerated() {
          var dense = try change?.to(.float32).materialized() ?? .zeros([site.outFeatures, site.inFeatures])
          if let start = try before?[index]?.to(.float32).materialized() { dense = try dense - start }
          let isFinite = try dense.withBytes { bytes in
            bytes.withMemoryRebound(to: Float.self) { packed[index].append($0) }
          }
          guard isFinite else { throw MixingError.notFinite(site.name, adapter: names[index]) }
        }
      }
    }
    let entries = changes.sites.map {
      Entry(name: $0.name, block: $0.block, count: $0.outFeatures * $0.inFeatures)
    }
    try self.init(names, options, entries, packed)
  }

  /// The adapters as they were before training.
  static func initial(of models: [AdaptedModel], names: [String]) throws -> [AdaptedModel] {
    try zip(models, names).map { model, name in
      guard let adapter = try model.adapter.initial(of: model.backbone) else { throw MixingError.noInitial(name) }
      return AdaptedModel(backbone: model.backbone, adapter: adapter)
    }
  }
}
