import Formats

/// A rule of any kind as one value: `{"method": "ties", "density": 0.2, …}` in files, or its name alone.
public struct AnyMixingRule: Codable, Hashable, Sendable {
  public let rule: any MixingRule

  public init(_ rule: any MixingRule) { self.rule = rule }

  public init(from decoder: any Decoder) throws {
    let object = try decoder.singleValueContainer().decode(CodedJSON.self).value
    if let name = object.string {
      rule = try mixingRule(named: name)
      return
    }
    guard case .object(var settings) = object, let name = settings["method"]?.string else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "a rule is a mapping with a 'method'"))
    }
    settings["method"] = nil
    rule = try mixingRule(named: name, settings: settings)
  }

  public func encode(to encoder: any Encoder) throws { try CodedJSON(.object(json())).encode(to: encoder) }

  /// The rule's name and all of its settings.
  public func json() throws -> JSONObject {
    var object: JSONObject = ["method": .string(type(of: rule).name)]
    for (key, value) in try rule.settings().members { object[key] = value }
    return object
  }

  public static func == (left: AnyMixingRule, right: AnyMixingRule) -> Bool {
    AnyHashable(left.rule) == AnyHashable(right.rule)
  }
  public func hash(into hasher: inout Hasher) { hasher.combine(AnyHashable(rule)) }
}
