import Formats
import Foundation

/// Where a mixture comes from: `mix.json` in its folder.
public struct MixProvenance: Codable, Equatable, Sendable {
  public static let fileName = "mix.json"
  static let version = 1

  public struct Member: Codable, Hashable, Sendable {
    public var name: String
    public var method: String
    /// Where one weight holds for all layers.
    public var weight: Double?
    /// The sha256 of its files; nil for one that was never saved.
    public var digest: String?
    /// In decimal digits, as in `graft.json`: seeds have 64 bits, and JSON's integers fewer.
    public var initialSeed: String?
  }

  public var version = Self.version
  public var members: [Member]
  /// The rule and its settings, or what was written where they change from layer to layer.
  var ruleSettings: CodedJSON
  public var space: MixingSpace
  public var form: String
  /// Of the rules that draw at random.
  public var seed: UInt64
  /// Whether the members' differences were taken from the start that they share.
  public var fromSharedStart: Bool
  /// Whose classifier the mixture took over.
  public var head: String?
  /// `Backbone.fingerprint`
  public var backbone: String
  /// Whose way of counting was followed; nil for ours.
  var conventions: MixConventions?

  public var rule: JSONValue { ruleSettings.value }

  enum CodingKeys: String, CodingKey {
    case version, members, space, form, seed, head, backbone, conventions
    case ruleSettings = "rule"
    case fromSharedStart = "from_shared_start"
  }

  /// The record of a folder; nil for an adapter that is no mixture.
  ///
  /// - Throws: `MixtureError.record` for one that cannot be read; `JSONFileError`.
  public init?(in folder: URL) throws {
    let file = folder.appendingPathComponent(Self.fileName)
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    do {
      self = try JSONDecoder().decode(Self.self, from: JSONValue(contentsOf: file).data())
    } catch let error as DecodingError {
      throw MixtureError.record(file.path, problem: "\(error)")
    }
    guard version <= Self.version else {
      throw MixtureError.record(file.path, problem: "it is of version \(version)")
    }
  }

  init(
    members: [Member], rule: JSONObject, space: MixingSpace, form: String, seed: UInt64, fromSharedStart: Bool,
    head: String?, backbone: String, conventions: MixConventions? = nil
  ) {
    self.members = members
    ruleSettings = CodedJSON(.object(rule))
    self.space = space
    self.form = form
    self.seed = seed
    self.fromSharedStart = fromSharedStart
    self.head = head
    self.backbone = backbone
    self.conventions = conventions
  }

  public func json() throws -> JSONValue {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try JSONValue(parsing: encoder.encode(self))
  }
}
