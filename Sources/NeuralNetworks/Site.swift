import Formats

/// A named place in a backbone where a change of a linear map can go.
public struct Site: Hashable, Sendable {
  /// As in `blocks.3.attn.qkv`: the backbone's own name, whatever the file it came from called it.
  public let name: String
  /// The transformer block, counted from 0; nil outside the blocks.
  public let block: Int?
  public let role: Role
  public let inFeatures: Int
  public let outFeatures: Int

  public init(name: String, block: Int?, role: Role, inFeatures: Int, outFeatures: Int) {
    self.name = name
    self.block = block
    self.role = role
    self.inFeatures = inFeatures
    self.outFeatures = outFeatures
  }

  /// What the linear map does in its block.
  public struct Role: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public var description: String { rawValue }

    /// Queries, keys and values in one map, `[q; k; v]`.
    public static let qkv = Role(rawValue: "qkv")
    /// The projection after attention.
    public static let proj = Role(rawValue: "proj")
    /// The first and the second map of the MLP.
    public static let fc1 = Role(rawValue: "fc1")
    public static let fc2 = Role(rawValue: "fc2")
  }
}

/// Which roles an adapter goes to.
public struct Targets: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  public let roles: [Site.Role]

  public init(_ roles: [Site.Role]) { self.roles = roles }
  public init(arrayLiteral elements: Site.Role...) { roles = elements }

  public static let qkv: Targets = [.qkv]
  public static let proj: Targets = [.proj]
  public static let fc1: Targets = [.fc1]
  public static let fc2: Targets = [.fc2]
  public static let attention: Targets = [.qkv, .proj]
  public static let mlp: Targets = [.fc1, .fc2]
  public static let allLinear: Targets = [.qkv, .proj, .fc1, .fc2]

  public var description: String { roles.map(\.rawValue).joined(separator: ", ") }
}

/// Which transformer blocks an adapter goes to, by index.
public enum Blocks: Hashable, Sendable, CustomStringConvertible {
  case all
  /// 0, 2, 4 …
  case everySecond
  case last(Int)
  case only([Int])

  /// The indices chosen among `count` blocks, ascending.
  ///
  /// - Throws: `PlacementError` for an index, or a number of last blocks, that the backbone does not have.
  public func indices(of count: Int) throws(PlacementError) -> [Int] {
    switch self {
    case .all: return Array(0..<count)
    case .everySecond: return Array(stride(from: 0, to: count, by: 2))
    case .last(let number):
      guard number >= 1, number <= count else { throw .last(number, count: count) }
      return Array(count - number..<count)
    case .only(let chosen):
      if let outside = chosen.first(where: { !(0..<count).contains($0) }) { throw .block(outside, count: count) }
      return Set(chosen).sorted()
    }
  }

  public var description: String {
    switch self {
    case .all: "all"
    case .everySecond: "every second"
    case .last(let count): "last \(count)"
    case .only(let indices): indices.map(String.init).joined(separator: ", ")
    }
  }
}

extension Sequence<Site> {
  /// The sites of these roles in these blocks, in the backbone's order.
  ///
  /// - Throws: `PlacementError` where a role matches nothing, so that no target is ever passed over in silence.
  public func selected(_ targets: Targets, _ blocks: Blocks) throws(PlacementError) -> [Site] {
    let count = (self.compactMap(\.block).max() ?? -1) + 1
    let chosen = Set(try blocks.indices(of: count))
    let known = Set(map(\.role))
    for role in targets.roles where !known.contains(role) {
      throw .role(role.rawValue, known: known.map(\.rawValue).sorted())
    }
    let sites = filter { site in targets.roles.contains(site.role) && site.block.map(chosen.contains) ?? false }
    guard !sites.isEmpty else { throw .nothing(targets: targets.description, blocks: blocks.description) }
    return sites
  }
}

public enum PlacementError: Error, Equatable, CustomStringConvertible {
  case role(String, known: [String])
  case block(Int, count: Int)
  case last(Int, count: Int)
  case nothing(targets: String, blocks: String)

  public var description: String {
    switch self {
    case .role(let role, let known):
      "The backbone has no site '\(role)'.\(Suggestion.didYouMean(role, among: known)) "
        + "Its sites are \(known.joined(separator: ", "))."
    case .block(let index, let count):
      count == 0
        ? "The backbone has no blocks, and block \(index) was asked for."
        : "Block \(index) is not one of the backbone's \(count) blocks, 0 to \(count - 1)."
    case .last(let number, let count):
      "The last \(number) of the backbone's \(count) blocks were asked for: at least 1 and at most all of them can be."
    case .nothing(let targets, let blocks):
      "No site is both one of [\(targets)] and in the blocks [\(blocks)]: nothing would be adapted."
    }
  }
}
