import Formats
import NeuralNetworks
import Tensors

/// A method made of other adapters, which stay as they were trained: saved with it, and never moved by training.
///
/// The tensors of a member stand in the files as `members.NAME.TENSOR`.
public protocol Composition: AdapterConfiguration {
  var members: [CompositionMember] { get }
}

/// One adapter inside another: its method with its settings, and its sites.
public struct CompositionMember: Codable, Hashable, Sendable {
  /// Unique within the composition.
  public var name: String
  public var configuration: any AdapterConfiguration
  /// By name; nil for the method's own choice.
  public var sites: [String]?

  public init(_ name: String, _ configuration: any AdapterConfiguration, sites: [String]? = nil) {
    self.name = name
    self.configuration = configuration
    self.sites = sites
  }

  /// - Parameter adapter: a trained one; its numbers come in with `Backbone.composed`.
  public init(_ name: String, _ adapter: Adapter) {
    self.init(name, adapter.configuration, sites: adapter.sites.map(\.name))
  }

  public static func == (one: CompositionMember, other: CompositionMember) -> Bool {
    one.name == other.name && one.sites == other.sites
      && AnyHashable(one.configuration) == AnyHashable(other.configuration)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(name)
    hasher.combine(sites)
    hasher.combine(AnyHashable(configuration))
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, method, settings, sites
  }

  public init(from decoder: any Decoder) throws {
    let json = try CodedJSON(from: decoder).value
    let known = CodingKeys.allCases.map(\.rawValue)
    for key in json.object?.keys ?? [] where !known.contains(key) {
      throw CompositionError.unknownKey(key, known: known)
    }
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    configuration = try adapterConfiguration(
      named: container.decode(String.self, forKey: .method), settings: json["settings"]?.object ?? JSONObject())
    sites = try container.decodeIfPresent([String].self, forKey: .sites)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(type(of: configuration).method, forKey: .method)
    try container.encode(configuration, forKey: .settings)
    try container.encodeIfPresent(sites, forKey: .sites)
  }
}

extension Composition {
  func validateMembers() throws {
    guard !members.isEmpty else { throw CompositionError.noMembers(Self.method) }
    var names: Set<String> = []
    for member in members {
      guard !member.name.isEmpty else { throw CompositionError.noName }
      guard names.insert(member.name).inserted else { throw CompositionError.twice(member.name) }
    }
  }

  /// The members with numbers of their own that nothing trains.
  func frozenMembers(of backbone: any Backbone, generator: Generator) throws -> [(name: String, adapter: Adapter)] {
    try members.map { member in
      let adapter = try Adapter(
        member.configuration, at: member.sites(of: backbone), of: backbone,
        generator: generator.derived("member \(member.name)"), initialSeed: nil)
      return (member.name, adapter)
    }
  }
}

extension AdapterParts {
  /// Takes over the parameters of members as tensors that files carry and nothing trains.
  mutating func freeze(_ members: [(name: String, adapter: Adapter)]) throws {
    for member in members {
      for parameter in member.adapter.stored {
        frozen.append(try Parameter(freezing: parameter, as: "members.\(member.name).\(parameter.name)"))
      }
    }
  }
}

extension Backbone {
  /// A composition of trained adapters of this backbone; their numbers are copied.
  ///
  /// - Parameters:
  ///   - composition: as in `AdapterFusion(of: members)`.
  ///   - members: in the order of `composition.members`.
  ///   - seed: for what the composition itself trains.
  /// - Throws: `CompositionError.members` where they are not those that the composition was made for; `AdapterError`.
  public func composed<Method: Composition>(
    by composition: Method, of members: [Adapter], seed: UInt64 = 0
  ) throws -> AdaptedModel {
    let model = try adapted(by: composition, seed: seed)
    let sources = members.flatMap { $0.stored }
    let expected = try zip(composition.members, members).flatMap { member, adapter in
      guard AnyHashable(member.configuration) == AnyHashable(adapter.configuration) else {
        throw CompositionError.members(
          expected: type(of: member.configuration).method, found: type(of: adapter.configuration).method)
      }
      return adapter.stored.map { "members.\(member.name).\($0.name)" }
    }
    let frozen = model.adapter.frozen
    guard composition.members.count == members.count, frozen.map(\.name) == expected else {
      throw CompositionError.members(
        expected: "\(composition.members.count) members with \(frozen.count) tensors",
        found: "\(members.count) with \(sources.count)")
    }
    for (parameter, source) in zip(frozen, sources) { try parameter.load(source.value.detached()) }
    return model
  }
}

extension CompositionMember {
  fileprivate func sites(of backbone: any Backbone) throws -> [Site] {
    guard let names = sites else { return try backbone.sites(for: type(of: configuration), nil, nil) }
    let known = Dictionary(backbone.sites.flatMap { [$0] + $0.parts }.map { ($0.name, $0) }) { first, _ in first }
    return try names.map { name in
      guard let site = known[name] else {
        throw AdapterError.unknown("site", name, known: known.keys.sorted())
      }
      return site
    }
  }
}
