import Adapters
import Formats
import Foundation
import NeuralNetworks
import Tensors

/// A recipe of which everything has been checked that can be without reading a tensor: names, the rule and its settings at
/// every depth, the files' headers, and whether the adapters go together.
public struct MixPlan: Sendable {
  public let recipe: MixRecipe
  public let sources: [Source]

  /// What the files of an adapter say without their tensors.
  public struct Source: Sendable {
    public let name: String
    public let folder: URL
    public let format: AdapterFormat
    /// As in files; nil for those of programs that do not say.
    public let method: String?
    /// `Backbone.fingerprint` of the network it was trained on; nil for those of programs that do not say.
    public let fingerprint: String?
    public let classes: [String]?
    /// By name, from the headers.
    public let tensors: [TensorInfo]
    public let digest: String
    fileprivate let settings: JSONObject?
    /// Whether tensors are stored without their zeros, in parts: their names and shapes then say nothing.
    fileprivate let isSparse: Bool

    public let parameterCount: Int
  }

  /// - Throws: `MixtureError` and `MixingError.layout` for what does not go together; `AdapterFolderError`, `SafetensorsError`,
  ///   `JSONFileError` or `FileError` for folders that hold no adapter or a damaged one.
  public init(_ recipe: MixRecipe) throws {
    guard !recipe.sources.isEmpty else { throw MixtureError.empty }
    var names: Set<String> = []
    for source in recipe.sources where !names.insert(source.name).inserted { throw MixtureError.duplicate(source.name) }
    let all = recipe.sources.map(\.name)
    if let head = recipe.head, !names.contains(head) { throw MixtureError.unknownMember(head, known: all) }
    if let stray = recipe.schedule.own.keys.sorted().first(where: { !names.contains($0) }) {
      throw MixtureError.unknownMember(stray, known: all)
    }
    try Self.checkRule(recipe, all)
    self.recipe = recipe
    sources = try recipe.sources.map { try Source($0) }
    try checkTogether()
  }

  /// Resolves the rule where it may be different: at every filter, and along the depth.
  private static func checkRule(_ recipe: MixRecipe, _ members: [String]) throws {
    for name in [""] + recipe.schedule.filters {
      for depth in [0, 0.25, 0.5, 0.75, 1] {
        let (rule, weights) = try recipe.schedule.rule(at: .init(names: [name], depth: depth), members: members)
        try rule.checked(weights: weights, members: members)
        if recipe.space == .outputs { try OutputMixer.check(rule, isConstant: recipe.schedule.isConstant) }
        if recipe.space != .delta, rule is KnOTS { throw MixtureError.needsChanges(type(of: rule).name) }
        if recipe.space == .delta, recipe.form == .concatenated, !rule.isLinear, !(rule is KnOTS) {
          throw MixtureError.notASum(type(of: rule).name)
        }
      }
    }
    if case .rank(let rank) = recipe.form, rank < 1 {
      throw MixtureError.setting("rank", of: recipe.schedule.method, value: Double(rank), range: "1 or more")
    }
    if recipe.space != .delta, recipe.form != .automatic {
      throw MixtureError.recipe("A rank or a form is for the space of changes: factors keep the form that they have.")
    }
  }

  private func checkTogether() throws {
    if let first = sources.first(where: { $0.fingerprint != nil }), let expected = first.fingerprint {
      for source in sources {
        guard let found = source.fingerprint, found != expected else { continue }
        throw MixtureError.otherBackbone(source.name, found: found, expected: expected, of: first.name)
      }
    }
    for source in sources {
      if recipe.space == .delta, let method = source.method, let settings = source.settings,
        let configuration = try? adapterConfiguration(named: method, settings: settings),
        let obstacle = configuration.obstacleToMerging
      {
        throw MixtureError.doesNotMerge(source.name, method: method.lowercased(), obstacle)
      }
    }
    guard recipe.space == .factors || recipe.space == .peftFactors, let first = sources.first else { return }
    for source in sources.dropFirst() {
      guard source.method == first.method else {
        throw MixingError.layout("the method \(first.method ?? "?")", source.method ?? "?")
      }
      // What is stored in parts is compared once it is read.
      guard !first.isSparse, !source.isSparse else { continue }
      let theirs = Dictionary(source.tensors.map { ($0.name, $0.shape) }) { one, _ in one }
      for tensor in first.tensors where !tensor.name.contains("head.") && !tensor.name.contains("classifier") {
        guard theirs[tensor.name] != tensor.shape else { continue }
        let other = theirs[tensor.name].map { "'\(tensor.name)' \($0)" } ?? "none of that name"
        throw MixingError.layout("'\(tensor.name)' \(tensor.shape)", other)
      }
    }
  }

  /// Reads the adapters onto their network.
  ///
  /// - Throws: `AdapterFolderError` and what reading files throws; `MixtureError` for weights that do not fit.
  public func mix(onto backbone: any Backbone) throws -> Mix {
    let members = recipe.sources.map(\.name)
    let (rule, weights) = try recipe.schedule.rule(at: .init(names: [""], depth: 0), members: members)
    let loaded = try zip(sources, weights).map { source, weight in
      MixMember(
        source.name, try AdapterFolder.load(from: source.folder, onto: backbone), weight: weight,
        digest: source.digest)
    }
    var mix = Mix(
      loaded, by: rule, space: recipe.space, form: recipe.form, seed: recipe.seed, head: recipe.head,
      schedule: recipe.schedule.isConstant ? nil : recipe.schedule)
    mix.conventions = recipe.schedule.conventions
    return mix
  }
}

extension MixPlan.Source {
  fileprivate init(_ source: MixRecipe.Source) throws {
    (name, folder) = (source.name, source.folder)
    format = try AdapterFolder.format(of: folder)
    let details = folder.appendingPathComponent("graft.json")
    let own = format == .graft ? try JSONValue(contentsOf: details) : .null
    let configuration = try JSONValue(contentsOf: folder.appendingPathComponent("adapter_config.json"))
    method = own["method"]?.string ?? configuration["peft_type"]?.string
    settings = own["settings"]?.object
    fingerprint = own["backbone"]?["fingerprint"]?.string
    classes = own["classes"]?.array?.compactMap(\.string)
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      .filter { $0.hasSuffix(".safetensors") }
    let place = source.folder
    tensors = try files.flatMap { try SafetensorsFile(contentsOf: place.appendingPathComponent($0)).tensors }
    isSparse = own["sparse"]?.isNull == false
    let stored = tensors.reduce(0) { $0 + $1.elementCount }
    parameterCount = isSparse ? own["parameters"]?.integer ?? stored : stored
    digest = try MergeRecord.digest(ofAdapter: folder)
  }
}
