import Formats
import Foundation
import NeuralNetworks
import Tensors

/// Where a merged checkpoint comes from and how near it is to what it stands for: `graft_merge.json` beside the weights.
public struct MergeRecord: Codable, Hashable, Sendable {
  public static let fileName = "graft_merge.json"
  static let version = 1

  public var version = Self.version
  /// What was merged into.
  public var base: Base
  public var adapters: [Part]
  /// The tensors that differ from the base's, by the file's names.
  public var changed: [String]
  /// Whether their old values lie beside them, in `graft_originals.safetensors`.
  public var keepsOriginals: Bool
  public var probe: Probe
  public var deviation: Deviation
  /// Whether the merge is no exact one: gates of a mixture were replaced by their means.
  public var isApproximate: Bool
  /// What rounding to half precision lost, by the type.
  public var roundings: [String: Double]
  /// The records of earlier merges that the base holds, the latest first.
  public var earlier: [MergeRecord]

  public struct Base: Codable, Hashable, Sendable {
    /// The folder it was read from.
    public var folder: String
    /// `Backbone.fingerprint`, which the adapters were trained on.
    public var fingerprint: String
    /// `PretrainedFolder.digest`
    public var digest: String
  }

  public struct Part: Codable, Hashable, Sendable {
    public var folder: String
    /// The sha256 of the adapter's files.
    public var digest: String
    public var method: String
    public var weight: Double
    /// The class names of its classifier.
    public var classes: [String]?
    /// The mean gates of a mixture at each site.
    public var gates: [String: [Double]]?
  }

  /// What the adapted and the merged network were compared on.
  public struct Probe: Codable, Hashable, Sendable {
    /// The folder of the images, or how numbers were drawn.
    public var source: String
    /// `[count, 3, height, width]`
    public var shape: [Int]

    public init(source: String, shape: [Int]) {
      self.source = source
      self.shape = shape
    }
  }

  /// The largest differences between the adapted network and the merged checkpoint as read back from disk.
  public struct Deviation: Codable, Hashable, Sendable {
    /// Of any feature, and the largest feature there is.
    public var features: Double
    public var largestFeature: Double
    /// Of any logit, where there is a classifier.
    public var logits: Double?
    public var largestLogit: Double?
    /// The fraction of the probe whose most probable class is the same.
    public var agreement: Double?

    /// The larger of the two, as a fraction of the largest value or of 1, whichever is more. Not-a-number stays so.
    public var relative: Double {
      let ofFeatures = features / max(1, largestFeature)
      guard let logits, let largestLogit else { return ofFeatures }
      let ofLogits = logits / max(1, largestLogit)
      return ofFeatures.isNaN || ofLogits.isNaN ? .nan : max(ofFeatures, ofLogits)
    }
  }

  /// The record of a folder; nil for one that no adapter was merged into.
  ///
  /// - Throws: `MergedCheckpointError.record` for one that cannot be read.
  public init?(in folder: URL) throws {
    let file = folder.appendingPathComponent(Self.fileName)
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    do {
      // Through our own reader first: its limits hold for a file that others may have made.
      self = try JSONDecoder().decode(Self.self, from: JSONValue(contentsOf: file).data())
    } catch let error as DecodingError {
      throw MergedCheckpointError.record(file.path, problem: "\(error)")
    }
    guard version <= Self.version else {
      throw MergedCheckpointError.record(file.path, problem: "it is of version \(version)")
    }
  }

  init(
    base: Base, adapters: [Part], changed: [String], keepsOriginals: Bool, probe: Probe, deviation: Deviation,
    isApproximate: Bool, roundings: [String: Double], earlier: [MergeRecord]
  ) {
    self.base = base
    self.adapters = adapters
    self.changed = changed
    self.keepsOriginals = keepsOriginals
    self.probe = probe
    self.deviation = deviation
    self.isApproximate = isApproximate
    self.roundings = roundings
    self.earlier = earlier
  }

  /// This merge and the earlier ones, the latest first, each without its own earlier ones.
  var history: [MergeRecord] {
    var own = self
    own.earlier = []
    return [own] + earlier
  }

  public func json() throws -> JSONValue {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try JSONValue(parsing: encoder.encode(self))
  }

  func write(to folder: URL) throws {
    try AtomicFile.write(json().text(.readable) + "\n", to: folder.appendingPathComponent(Self.fileName))
  }

  /// The sha256 of an adapter's files: of the names and digests of its JSON and safetensors files.
  public static func digest(ofAdapter folder: URL) throws -> String {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      .filter { $0.hasSuffix(".json") || $0.hasSuffix(".safetensors") }
    let lines = try names.map { "\($0) \(try FileDigest.sha256(of: folder.appendingPathComponent($0)))\n" }
    return FileDigest.sha256(of: Data(lines.joined().utf8))
  }
}
