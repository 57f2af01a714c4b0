import Formats
import NeuralNetworks

/// How targets and blocks are written in files and flags.
enum Placement {
  static let targetWords = "qkv, proj, fc1, fc2, or query, key, value; attention, mlp, all for several of them"
  static let blockWords = "all, every-second, last:4, or indices as in 0,2,4-6"

  /// Names that stand for several sites of a block.
  private static let groups: [String: Targets] = ["attention": .attention, "mlp": .mlp, "all": .allLinear]

  /// Names that are no group are left for the backbone to accept: it knows its sites.
  static func targets(_ names: [String]) -> Targets {
    var roles: [Site.Role] = []
    for name in names.flatMap({ $0.split(separator: ",").map(String.init) }) {
      let name = name.filter { $0 != " " }
      for role in groups[name]?.roles ?? [Site.Role(rawValue: name)] where !roles.contains(role) { roles.append(role) }
    }
    return Targets(roles)
  }

  static func blocks(_ value: JSONValue, place: String) throws -> Blocks {
    if let list = value.array {
      let indices = list.compactMap(\.integer)
      guard indices.count == list.count, !indices.isEmpty else { throw wrong(place, (try? value.text()) ?? "") }
      return .only(indices)
    }
    if let index = value.integer { return .only([index]) }
    return try blocks(value.string ?? "", place: place)
  }

  static func blocks(_ text: String, place: String) throws -> Blocks {
    let word = text.lowercased().replacing("_", with: "-")
    if word == "all" { return .all }
    if ["every-second", "every second", "even"].contains(word) { return .everySecond }
    if word.hasPrefix("last") {
      guard let count = Int(word.dropFirst("last".count).trimmingPrefix { " :".contains($0) }) else {
        throw wrong(place, text)
      }
      return .last(count)
    }
    var indices: [Int] = []
    for part in word.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0.filter { $0 != " " }) }
      switch ends.count {
      case 1: if let index = ends[0] { indices.append(index) } else { throw wrong(place, text) }
      case 2:
        guard let first = ends[0], let last = ends[1], first <= last, last < 10_000 else { throw wrong(place, text) }
        indices += first...last
      default: throw wrong(place, text)
      }
    }
    return .only(indices)
  }

  private static func wrong(_ place: String, _ text: String) -> ConfigurationError {
    .value(place: place, problem: "blocks cannot be '\(text)'. Write \(blockWords).")
  }
}

extension Blocks {
  /// As `Placement` reads it back.
  var setting: JSONValue {
    switch self {
    case .all: "all"
    case .everySecond: "every-second"
    case .last(let count): .string("last:\(count)")
    case .only(let indices): .array(indices.map { .integer($0) })
    }
  }
}
