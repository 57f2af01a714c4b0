import Formats

/// A named place in a backbone where a change of a linear map can go: a map, or a range of its rows.
public struct Site: Hashable, Sendable {
  /// As in `blocks.3.attn.qkv`: the backbone's own name, whatever the file it came from called it.
  public let name: String
  /// The transformer block, counted from 0; nil outside the blocks.
  public let block: Int?
  public let role: Role
  public let inFeatures: Int
  public let outFeatures: Int
  /// The map that this site is some rows of; nil for a map of its own.
  public let whole: Whole?

  /// Rows of a larger map.
  public struct Whole: Hashable, Sendable {
    /// The larger map's site.
    public let name: String
    /// The outputs that the part computes.
    public let rows: Range<Int>

    public init(name: String, rows: Range<Int>) {
      self.name = name
      self.rows = rows
    }
  }

  public init(name: String, block: Int?, role: Role, inFeatures: Int, outFeatures: Int, whole: Whole? = nil) {
    self.name = name
    self.block = block
    self.role = role
    self.inFeatures = inFeatures
    self.outFeatures = outFeatures
    self.whole = whole
  }

  /// Queries, keys and values of a map that computes all three, as sites of their own: `blocks.3.attn.qkv.query` …
  public var parts: [Site] {
    guard role == .qkv, whole == nil, outFeatures % 3 == 0 else { return [] }
    let height = outFeatures / 3
    return [Role.query, .key, .value].enumerated().map { index, role in
      Site(
        name: "\(name).\(role)", block: block, role: role, inFeatures: inFeatures, outFeatures: height,
        whole: Whole(name: name, rows: index * height..<(index + 1) * height))
    }
  }

  /// What the linear map does in its block.
  public struct Role: RawRepresentable, Codable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public var description: String { rawValue }

    /// Queries, keys and values in one map, `[q; k; v]`.
    public static let qkv = Role(rawValue: "qkv")
    /// The three parts of `qkv`.
    public static let query = Role(rawValue: "query")
    public static let key = Role(rawValue: "key")
    public static let value = Role(rawValue: "value")
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
  /// What LoRA adapts in its paper's experiments.
  public static let queryAndValue: Targets = [.query, .value]
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
  /// The sites of these roles in these blocks, in the backbone's order; parts of a map where a role names them.
  ///
  /// - Throws: `PlacementError` where a role matches nothing, so that no target is ever passed over in silence, and where a
  ///   map is asked for together with parts of it.
  public func selected(_ targets: Targets, _ blocks: Blocks) throws(PlacementError) -> [Site] {
    let count = (self.compactMap(\.block).max() ?? -1) + 1
    let chosen = Set(try blocks.indices(of: count))
    let offered = flatMap { [$0] + $0.parts }
    let known = Set(offered.map(\.role))
    for role in targets.roles where !known.contains(role) {
      throw .role(role.rawValue, known: known.map(\.rawValue).sorted())
    }
    let sites = offered.filter { site in
      targets.roles.contains(site.role) && site.block.map(chosen.contains) ?? false
    }
    guard !sites.isEmpty else { throw .nothing(targets: targets.description, blocks: blocks.description) }
    let names = Set(sites.map(\.name))
    if let part = sites.first(where: { $0.whole.map { names.contains($0.name) } ?? false }) {
      throw .overlap(part.name, whole: part.whole?.name ?? "")
    }
    return sites
  }

  /// The blocks that the sites are in, ascending.
  public var blocks: [Int] { Set(compactMap(\.block)).sorted() }
}

public enum PlacementError: Error, Equatable, CustomStringConvertible {
  case role(String, known: [String])
  case block(Int, count: Int)
  case last(Int, count: Int)
  case nothing(targets: String, blocks: String)
  case overlap(String, whole: String)

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
    case .overlap(let part, let whole):
      "'\(part)' is part of '\(whole)', and both were asked for. Adapt the whole map or its parts."
    }
  }
}
