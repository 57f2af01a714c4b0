import Formats
import NeuralNetworks

/// Weights and settings of a mixture that change from layer to layer, as MergeKit writes them.
///
/// A setting is a value; a list, interpolated over the depth of the network; or values for the places whose names contain a
/// text, the first that does. Names are those of sites and parameters here and of modules in the backbone's own file.
public struct MixSchedule: Sendable, Equatable {
  public indirect enum Setting: Sendable, Equatable {
    case value(JSONValue)
    /// From the first block to the last.
    case gradient([Double])
    /// A filter of nil stands for every place.
    case filtered([Filtered])
  }

  public struct Filtered: Sendable, Equatable {
    public let filter: String?
    public let setting: Setting

    public init(_ filter: String?, _ setting: Setting) {
      self.filter = filter
      self.setting = setting
    }
  }

  /// Where a tensor stands.
  public struct Place: Sendable {
    /// Its own name, and those that other libraries have for it.
    public let names: [String]
    /// 0 in the first block and before it, 1 in the last and after it.
    public let depth: Double
  }

  public let method: String
  /// What holds for all members, by the setting's name.
  public let shared: [String: Setting]
  /// What holds for one member, by its name and the setting's: over what holds for all.
  public let own: [String: [String: Setting]]
  var conventions = MixConventions.ours

  public init(method: String, shared: [String: Setting], own: [String: [String: Setting]] = [:]) {
    self.method = method
    self.shared = shared
    self.own = own
  }

  /// The settings that a member may have for itself.
  static let perMember: Set<String> = ["weight", "density", "gamma", "epsilon"]

  /// The rule and the weights at a place.
  ///
  /// - Throws: `MixtureError` for settings that the rule does not have or that do not fit it.
  func rule(at place: Place, members: [String]) throws -> (rule: any MixingRule, weights: [Double]) {
    try checkOwn()
    var settings = JSONObject()
    for (name, setting) in shared.sorted(by: { $0.key < $1.key }) where name != "weight" {
      if let value = setting.value(at: place) { settings[name] = value }
    }
    for name in Self.perMember.sorted() where name != "weight" {
      guard own.values.contains(where: { $0[name] != nil }) else { continue }
      let rule = try mixingRule(named: method)
      let usual = try rule.settings()[name]
      let values = try members.map { member -> JSONValue in
        guard let value = own[member]?[name]?.value(at: place) ?? settings[name] ?? usual else {
          throw MixtureError.unknownSetting(name, of: type(of: rule).name, known: try type(of: rule).settingNames)
        }
        guard value.double != nil else {
          throw MixtureError.settingType(name, of: member, value: try value.text())
        }
        return value
      }
      settings[name] = .array(values)
    }
    let weights = try members.map { member in
      let value = own[member]?["weight"]?.value(at: place) ?? shared["weight"]?.value(at: place) ?? 1
      guard let weight = value.double else {
        throw MixtureError.settingType("weight", of: member, value: try value.text())
      }
      return weight
    }
    return (try mixingRule(named: method, settings: settings), weights)
  }

  /// - Throws: `MixtureError.unknownSetting` or `.sharedSetting` for what no member has for itself.
  private func checkOwn() throws {
    for (member, settings) in own.sorted(by: { $0.key < $1.key }) {
      for name in settings.keys.sorted() where !Self.perMember.contains(name) {
        let known = Self.perMember.sorted()
        guard try type(of: mixingRule(named: method)).settingNames.contains(name) else {
          throw MixtureError.unknownSetting(name, of: member, known: known)
        }
        throw MixtureError.sharedSetting(name, of: member, known: known)
      }
    }
  }

  /// - Throws: `MixtureError.filter` for a filter that no place's name contains.
  func checkFilters(among places: [Place]) throws(MixtureError) {
    for filter in filters where !places.contains(where: { $0.names.contains { $0.contains(filter) } }) {
      throw .filter(filter)
    }
  }

  /// Every filter that is written somewhere.
  var filters: [String] {
    func filters(_ setting: Setting) -> [String] {
      guard case .filtered(let list) = setting else { return [] }
      return list.flatMap { ($0.filter.map { [$0] } ?? []) + filters($0.setting) }
    }
    return Set((Array(shared.values) + own.values.flatMap(\.values)).flatMap(filters)).sorted()
  }

  /// Whether nothing changes from layer to layer.
  var isConstant: Bool {
    (Array(shared.values) + own.values.flatMap(\.values)).allSatisfy { if case .value = $0 { true } else { false } }
  }

  /// As it was written.
  func json() -> JSONObject {
    var object: JSONObject = ["method": .string(method)]
    for (name, setting) in shared.sorted(by: { $0.key < $1.key }) { object[name] = setting.json }
    var members = JSONObject()
    for (member, settings) in own.sorted(by: { $0.key < $1.key }) {
      var one = JSONObject()
      for (name, setting) in settings.sorted(by: { $0.key < $1.key }) { one[name] = setting.json }
      members[member] = .object(one)
    }
    if !members.isEmpty { object["members"] = .object(members) }
    return object
  }

  /// The depths of a backbone's tensors.
  struct Depth {
    private let last: Int
    private let before: Set<String>
    private let modules: [String: [String]]

    init(_ backbone: any Backbone) {
      last = backbone.sites.blocks.last ?? 0
      var names: [String: [String]] = [:]
      for site in backbone.sites.flatMap({ [$0] + $0.parts }) { names[site.name] = backbone.modules(at: site) }
      modules = names
      // What stands in the list before the first block's tensors comes before it.
      before = Set(backbone.tensors.prefix { !$0.name.hasPrefix("blocks.") }.map(\.name))
    }

    /// Of blocks without a depth.
    init(modules: [String: [String]]) {
      (last, before, self.modules) = (0, [], modules)
    }

    func place(of site: Site, _ backbone: any Backbone) -> Place {
      Place(names: [site.name] + backbone.modules(at: site), depth: depth(site.block, site.name))
    }

    func place(of name: String) -> Place {
      let pieces = name.split(separator: ".")
      let block = pieces.count > 1 && pieces[0] == "blocks" ? Int(pieces[1]) : nil
      // A part's name begins with its map's.
      let site = modules.keys.filter { name.hasPrefix($0 + ".") }.max { $0.count < $1.count }
      return Place(names: [name] + (site.flatMap { modules[$0] } ?? []), depth: depth(block, name))
    }

    private func depth(_ block: Int?, _ name: String) -> Double {
      guard let block else { return before.contains(name) ? 0 : 1 }
      return last > 0 ? Double(block) / Double(last) : 0
    }
  }
}

extension MixSchedule.Setting {
  /// What is written: a number, a list of numbers, a mapping with `value` and `filter`, or a list of those.
  ///
  /// - Throws: `MixtureError.settingType`
  public init(_ json: JSONValue, named name: String, of member: String) throws {
    func refused() -> MixtureError { .settingType(name, of: member, value: (try? json.text()) ?? json.kind) }
    switch json {
    case .object(let object):
      guard let value = object["value"], object.keys.allSatisfy({ ["value", "filter"].contains($0) }) else {
        throw refused()
      }
      self = .filtered([.init(object["filter"]?.string, try Self(value, named: name, of: member))])
    case .array(let list) where list.contains(where: { $0.object != nil }):
      var filtered: [MixSchedule.Filtered] = []
      for item in list {
        guard let object = item.object, let value = object["value"] else { throw refused() }
        let filter = object["filter"]?.string
        filtered.append(.init(filter == "*" ? nil : filter, try Self(value, named: name, of: member)))
      }
      self = .filtered(filtered)
    case .array(let list):
      let numbers = list.compactMap(\.double)
      guard !numbers.isEmpty, numbers.count == list.count else { throw refused() }
      self = .gradient(numbers)
    case .null: throw refused()
    default: self = .value(json)
    }
  }

  func value(at place: MixSchedule.Place) -> JSONValue? {
    switch self {
    case .value(let value): return value
    case .gradient(let values):
      let scaled = place.depth * Double(values.count - 1)
      let below = min(values.count - 1, max(0, Int(scaled)))
      let above = min(values.count - 1, below + 1)
      let fraction = scaled - Double(below)
      return .double((1 - fraction) * values[below] + fraction * values[above])
    case .filtered(let list):
      let found = list.first { one in one.filter.map { filter in place.names.contains { $0.contains(filter) } } ?? true
      }
      return found?.setting.value(at: place)
    }
  }

  var json: JSONValue {
    switch self {
    case .value(let value): value
    case .gradient(let values): .array(values.map(JSONValue.double))
    case .filtered(let list):
      .array(
        list.map { one in
          var object: JSONObject = ["value": one.setting.json]
          object["filter"] = one.filter.map(JSONValue.string)
          return .object(object)
        })
    }
  }
}
