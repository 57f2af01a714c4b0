import Formats
import Foundation
import NeuralNetworks
import Tensors

/// A backbone's checkpoint with adapters merged into it: a normal checkpoint of the backbone's own format, beside it
/// `graft_merge.json`, which says where it comes from, and on request what is needed to take the adapters out again.
///
/// | file                         | holds                                                                |
/// |------------------------------|----------------------------------------------------------------------|
/// | all of the backbone's        | as they were, but for the changed tensors                            |
/// | `graft_merge.json`           | `MergeRecord`                                                        |
/// | `graft_originals.safetensors`| where kept, the changed tensors as they were                         |
/// | `head/`                      | where an adapter has a classifier: it, as an adapter of its own that changes nothing |
///
/// Nothing is taken on trust: what was written is read back and compared with the adapted network before the folder gets its
/// name.
public struct MergedCheckpoint: Sendable {
  static let originalsName = "graft_originals.safetensors"
  public static let headName = "head"

  /// An adapter to merge and the folder it was read from.
  public struct Part: Sendable {
    public let model: AdaptedModel
    public let folder: URL
    public let weight: Double

    public init(_ model: AdaptedModel, from folder: URL, weight: Double = 1) {
      self.model = model
      self.folder = folder
      self.weight = weight
    }
  }

  public let backbone: any PretrainedNetwork
  /// What the adapted and the merged network are compared on, `[count, …]`.
  public let probe: Tensor
  /// Where the probe comes from.
  public let probeSource: String
  public var keepsOriginals = false
  /// Whether mixtures are merged with their mean gates over the probe. Their error is measured and not limited.
  public var approximates = false
  /// The largest deviation accepted, as a fraction of the largest feature or logit, or of 1; nil for the usual one of the
  /// checkpoint's type.
  public var tolerance: Double?
  /// Files to write into `head/`, by name: what whoever uses the classifier needs to know and its adapter does not say.
  public var besideHead: [String: String] = [:]
  private let source: PretrainedFolder

  /// An adapter's folder read for a merge into a backbone.
  ///
  /// - Parameters:
  ///   - model: the folder the backbone was read from.
  ///   - again: whether one that the backbone holds already, by its record, is merged once more.
  /// - Throws: `MergedCheckpointError.alreadyMerged`; as `AdapterFolder.load` for one that is of another backbone.
  public static func part(
    at folder: URL, weight: Double = 1, onto backbone: any PretrainedNetwork, from model: URL, again: Bool = false
  ) throws -> Part {
    let digest = try MergeRecord.digest(ofAdapter: folder)
    let merged = try MergeRecord(in: model)?.history.flatMap(\.adapters).filter { $0.digest == digest } ?? []
    guard merged.isEmpty || again else {
      throw MergedCheckpointError.alreadyMerged(folder.path, model: model.path, weight: merged[0].weight)
    }
    // One that is merged already was trained on what the backbone was before.
    let loaded = try AdapterFolder.load(from: folder, onto: backbone, allowingOtherBackbone: !merged.isEmpty)
    return Part(loaded, from: folder, weight: weight)
  }

  /// - Parameter folder: where the backbone was read from.
  public init(of backbone: any PretrainedNetwork, from folder: URL, probe: Tensor, source probeSource: String) throws {
    self.backbone = backbone
    self.probe = probe
    self.probeSource = probeSource
    source = try PretrainedFolder(folder)
  }

  /// `1e-4` in float32, the rounding of a forward pass; in half precision what rounding the changed weights once may do to a
  /// network of some depth, which is compared besides as float32 has it.
  public static func usualTolerance(_ dtype: DType) -> Double {
    switch dtype {
    case .bfloat16: 0.05
    case .float16: 0.01
    default: 1e-4
    }
  }

  /// What came of it.
  public struct Outcome: Sendable {
    public let record: MergeRecord
    public let roundings: [PretrainedFolder.Rounding]
    public let leftOut: [PretrainedFolder.LeftOut]
    /// The classes of the classifier in `head/`; nil where there is none.
    public let classes: [String]?
    /// How many classifiers the adapters have, which do not add up where there are several.
    public let heads: Int
  }

  /// Merges, writes, reads back, compares; the folder appears when all of it went well.
  ///
  /// - Throws: `MergeError`, `PretrainedFolderError`, `MergedCheckpointError`; `FileError`, also where `output` is not empty.
  public func write(_ parts: [Part], to output: URL) throws -> Outcome {
    let terms = try parts.map { part in
      // Where a mixture merges exactly, of one expert, it does.
      let isInTheWay = part.model.adapter.configuration.obstacleToMerging != nil
      let gates = try approximates && isInTheWay ? part.model.meanGates(over: probe) : [:]
      return Merge.Term(part.model, weight: part.weight, gates: gates.isEmpty ? nil : gates)
    }
    let merge = try Merge(terms, into: backbone)
    let changes = try source.changes(merge.tensors)
    let expected = try withoutGradients { try reference(terms) }
    let earlier = try MergeRecord(in: source.url)?.history ?? []
    let isApproximate = terms.contains { $0.gates != nil }
    let limit = tolerance ?? Self.usualTolerance(smallestType(changes))
    let heads = parts.compactMap(\.model.head)
    if !isApproximate, !changes.roundings.isEmpty {
      // What rounding does must not hide a merge that is wrong.
      let exact = try withoutGradients {
        try backbone.features(probe, adaptation: SubstitutedTensors(tensors: merge.tensors), pass: ForwardPass())
      }
      try Self.check(Self.deviation(of: exact, from: expected, heads: heads), Self.usualTolerance(.float32))
    }
    var outcome: Outcome?
    try AtomicFolder.write(to: output) { folder in
      let leftOut = try source.write(changes, to: folder, leavingOut: Self.ownFiles)
      if keepsOriginals { try writeOriginals(of: changes, to: folder) }
      let merged = try backbone.reloaded(from: folder)
      let deviation = try withoutGradients {
        try Self.deviation(of: merged.features(probe), from: expected, heads: heads)
      }
      try Self.check(deviation, isApproximate ? .greatestFiniteMagnitude : limit)
      if heads.count == 1 {
        let model = try merged.adapted(by: .linearProbe)
        let head = folder.appendingPathComponent(Self.headName)
        try AdaptedModel(backbone: merged, adapter: model.adapter, head: heads[0]).save(to: head)
        for (name, text) in besideHead { try AtomicFile.write(text, to: head.appendingPathComponent(name)) }
      }
      let record = MergeRecord(
        base: .init(folder: source.url.path, fingerprint: backbone.fingerprint, digest: source.digest),
        adapters: try zip(parts, terms).map { part, term in
          MergeRecord.Part(
            folder: part.folder.path, digest: try MergeRecord.digest(ofAdapter: part.folder),
            method: type(of: part.model.adapter.configuration).method, weight: part.weight,
            classes: part.model.head?.classes, gates: term.gates)
        },
        changed: changes.tensors.keys.sorted(), keepsOriginals: keepsOriginals,
        probe: .init(source: probeSource, shape: probe.shape), deviation: deviation, isApproximate: isApproximate,
        roundings: Dictionary(changes.roundings.map { ("\($0.dtype)", $0.loss) }) { first, _ in first },
        earlier: earlier)
      try record.write(to: folder)
      outcome = Outcome(
        record: record, roundings: changes.roundings, leftOut: leftOut,
        classes: heads.count == 1 ? heads[0].classes : nil, heads: heads.count)
    }
    guard let outcome else { throw FileError("create", output.path, code: EIO) }
    return outcome
  }

  /// Files that belong to a merge, not to the backbone.
  static let ownFiles: Set<String> = [MergeRecord.fileName, originalsName, headName]

  private func reference(_ terms: [Merge.Term]) throws -> Tensor {
    if terms.count == 1, terms[0].weight == 1 { return try terms[0].model.features(probe) }
    let adapters = WeightedAdapters(terms.map { ($0.model.adapter, $0.weight) })
    return try backbone.features(probe, adaptation: adapters, pass: ForwardPass())
  }

  /// Written so that not-a-number does not pass.
  private static func check(_ deviation: MergeRecord.Deviation, _ limit: Double) throws {
    guard deviation.relative <= limit else { throw MergedCheckpointError.deviation(deviation, limit: limit) }
  }

  private func smallestType(_ changes: PretrainedFolder.Changes) -> DType {
    let types = Set(changes.tensors.values.map(\.dtype))
    return types.contains(.bfloat16) ? .bfloat16 : types.contains(.float16) ? .float16 : .float32
  }

  private func writeOriginals(of changes: PretrainedFolder.Changes, to folder: URL) throws {
    var writer = SafetensorsWriter(metadata: ["format": "pt"])
    for name in changes.tensors.keys.sorted() { try writer.add(name, source.tensor(name)) }
    try writer.write(to: folder.appendingPathComponent(Self.originalsName))
  }

  static func deviation(of found: Tensor, from expected: Tensor, heads: [Head]) throws -> MergeRecord.Deviation {
    var deviation = MergeRecord.Deviation(
      features: try found.distance(to: expected), largestFeature: try expected.abs().max().item())
    for head in heads {
      let (logits, wanted) = (try head(found).detached(), try head(expected).detached())
      let distance = try logits.distance(to: wanted)
      // `max` would pass over a NaN.
      deviation.logits = distance.isNaN ? distance : max(deviation.logits ?? 0, distance)
      deviation.largestLogit = max(deviation.largestLogit ?? 0, try wanted.abs().max().item())
      let same: Double = try logits.argmax(-1).equals(wanted.argmax(-1)).to(.float64).mean().item()
      deviation.agreement = min(deviation.agreement ?? 1, same)
    }
    return deviation
  }
}

public enum MergedCheckpointError: Error, Equatable, CustomStringConvertible {
  case deviation(MergeRecord.Deviation, limit: Double)
  case alreadyMerged(String, model: String, weight: Double)
  case record(String, problem: String)
  case noRecord(String)
  case otherBase(String, expected: String, found: String)
  case otherAdapter(String, recorded: [String])
  case missingAdapters([String])
  case originals(String, missing: [String], unexpected: [String])

  public var description: String {
    switch self {
    case .deviation(let deviation, let limit):
      """
      The merged network differs from the adapted one by \(String(format: "%.1e", deviation.relative)) of its largest output, \
      and \(limit) is accepted: nothing was written. Where rounding to half precision is the cause, merge into a float32 \
      checkpoint or accept more by a larger tolerance.
      """
    case .alreadyMerged(let folder, let model, let weight):
      """
      The adapter in '\(folder)' is merged into '\(model)' already, with weight \(weight). Merge it into the unmerged model, \
      or ask for it to be merged again.
      """
    case .record(let file, let problem):
      "'\(file)' is no record of a merge that can be read: \(problem). Merge again from the unmerged model."
    case .noRecord(let folder):
      "The model in '\(folder)' holds no merge (\(MergeRecord.fileName) is missing), so there is nothing to take out."
    case .otherBase(let folder, let expected, let found):
      """
      The weights in '\(folder)' are not those that were merged into: sha256 \(found.prefix(12))…, and the record says \
      \(expected.prefix(12))…. Give the model that the merge started from.
      """
    case .otherAdapter(let folder, let recorded):
      """
      The adapter in '\(folder)' is not the one that was merged: its files have another sha256 than the record says. Recorded \
      are \(recorded.joined(separator: ", ")).
      """
    case .missingAdapters(let folders):
      "More was merged than was given: \(folders.joined(separator: ", ")). Give all adapters, or the unmerged model."
    case .originals(let file, let missing, let unexpected):
      "'\(file)' does not hold the tensors that were changed."
        + (missing.isEmpty ? "" : " Missing: \(missing.prefix(5).joined(separator: ", ")).")
        + (unexpected.isEmpty ? "" : " Not among them: \(unexpected.prefix(5).joined(separator: ", ")).")
    }
  }
}
