import Formats
import Foundation

/// Every rule, in the order of the documentation. Decoding by name, `--help`, the contract tests and the documentation read
/// this list.
public let mixingRules: [any MixingRule.Type] = [
  Uniform.self,
  Weighted.self,
  TaskArithmetic.self,
  MagnitudePrune.self,
  Consensus.self,
  TIES.self,
  DARE.self,
  DELLA.self,
  Breadcrumbs.self,
  SCE.self,
  ModelStock.self,
  SLERP.self,
  NuSLERP.self,
  MultiSLERP.self,
  Karcher.self,
  KnOTS.self,
]

/// Rules under the names that MergeKit and PEFT give to one choice of their settings.
public let mixingAliases: [(name: String, rule: any MixingRule)] = [
  ("linear", Weighted()),
  ("dare_linear", DARE()),
  ("dare_ties", changed(DARE()) { $0.elect = true }),
  ("della_linear", changed(DELLA()) { ($0.elect, $0.normalize) = (false, false) }),
  ("breadcrumbs_ties", changed(Breadcrumbs()) { $0.elect = true }),
]

private func changed<Rule>(_ rule: Rule, _ change: (inout Rule) -> Void) -> Rule {
  var rule = rule
  change(&rule)
  return rule
}

/// A rule by its name, with some settings changed from their defaults.
///
/// - Parameter name: in any case, with `-` or `_`.
/// - Throws: `MixtureError.unknownRule`, `.unknownSetting` or `.settingType`.
public func mixingRule(named name: String, settings: JSONObject = JSONObject()) throws -> any MixingRule {
  let wanted = name.lowercased().replacing("-", with: "_")
  if let alias = mixingAliases.first(where: { $0.name == wanted }) { return try alias.rule.changed(by: settings) }
  guard let type = mixingRules.first(where: { $0.name == wanted }) else {
    throw MixtureError.unknownRule(name, known: mixingRules.map { $0.name } + mixingAliases.map { $0.name })
  }
  return try type.init().changed(by: settings)
}

extension MixingRule {
  /// Every setting by its name in files; those that are nil are left out.
  public func settings() throws -> JSONObject {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return try JSONValue(parsing: encoder.encode(self)).object ?? JSONObject()
  }

  /// The names of the settings, those that may be nil among them.
  static var settingNames: [String] {
    get throws { try Set(Self().settings().keys).union(optionalSettings).sorted() }
  }

  fileprivate func changed(by settings: JSONObject) throws -> Self {
    var merged = try self.settings()
    let known = try Self.settingNames
    for (key, value) in settings.members {
      guard known.contains(key) else { throw MixtureError.unknownSetting(key, of: Self.name, known: known) }
      merged[key] = value
    }
    do {
      return try JSONDecoder().decode(Self.self, from: JSONValue.object(merged).data())
    } catch let error as DecodingError {
      let path: [any CodingKey] =
        switch error {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
          .dataCorrupted(let context):
          context.codingPath
        @unknown default: []
        }
      let name = path.first?.stringValue ?? settings.keys.first ?? ""
      throw MixtureError.settingType(name, of: Self.name, value: (try merged[name]?.text()) ?? "")
    }
  }
}
