import Formats
import Foundation
import NeuralNetworks
import Tensors

/// The way back from a `MergedCheckpoint` to the checkpoint that it was made of.
public struct UnmergedCheckpoint: Sendable {
  /// Where the old weights come from.
  public enum Means: Sendable {
    /// The originals kept in the merged folder: bit for bit.
    case originals
    /// The folder that was merged into: bit for bit.
    case base(URL)
    /// The recorded adapters, subtracted: up to rounding. The probe measures how far.
    case adapters([URL], onto: any PretrainedNetwork, probe: Tensor)
  }

  public let record: MergeRecord
  private let folder: URL
  private let source: PretrainedFolder

  /// - Parameter folder: a merged checkpoint.
  /// - Throws: `MergedCheckpointError.noRecord` where nothing was merged; as reading the weights does.
  public init(of folder: URL) throws {
    guard let record = try MergeRecord(in: folder) else { throw MergedCheckpointError.noRecord(folder.path) }
    self.record = record
    self.folder = folder
    source = try PretrainedFolder(folder)
  }

  /// What came of it.
  public struct Outcome: Sendable {
    /// Whether the weights have the sha256 that the record gives the base.
    public let isExact: Bool
    public let expected: String
    public let digest: String
    /// Of the merged network from the restored one with the adapters on; nil where the old bits were there.
    public let deviation: MergeRecord.Deviation?
    /// The tensors that were set back.
    public let restored: Int
  }

  /// Writes the checkpoint without the adapters of the latest merge; the folder appears whole or not at all.
  ///
  /// - Throws: `MergedCheckpointError` where what is given is not what was merged, or bit-exact means did not give the base;
  ///   `MergeError.notSubtractable`; `FileError`.
  public func write(by means: Means, to output: URL) throws -> Outcome {
    var outcome: Outcome?
    try AtomicFolder.write(to: output) { target in
      let changes: PretrainedFolder.Changes
      var terms: [Merge.Term] = []
      switch means {
      case .originals: changes = try originals()
      case .base(let base): changes = try originals(of: base)
      case .adapters(let folders, let backbone, _):
        terms = try self.terms(folders, onto: backbone)
        changes = try source.changes(Merge.removing(terms, from: backbone))
      }
      _ = try source.write(changes, to: target, leavingOut: MergedCheckpoint.ownFiles)
      let digest = try PretrainedFolder(target).digest
      let isExact = digest == record.base.digest
      var deviation: MergeRecord.Deviation?
      if case .adapters(let folders, let backbone, let probe) = means {
        let restored = try backbone.reloaded(from: target)
        let adapters = WeightedAdapters(
          try self.terms(folders, onto: restored).map { ($0.model.adapter, $0.weight) })
        deviation = try withoutGradients {
          let again = try restored.features(probe, adaptation: adapters, pass: ForwardPass())
          return try MergedCheckpoint.deviation(
            of: again, from: backbone.features(probe), heads: terms.compactMap(\.model.head))
        }
      } else if !isExact {
        throw MergedCheckpointError.otherBase(folder.path, expected: record.base.digest, found: digest)
      }
      if var previous = record.earlier.first {
        previous.earlier = Array(record.earlier.dropFirst())
        previous.keepsOriginals = false
        try previous.write(to: target)
      }
      outcome = Outcome(
        isExact: isExact, expected: record.base.digest, digest: digest, deviation: deviation,
        restored: changes.tensors.count)
    }
    guard let outcome else { throw FileError("create", output.path, code: EIO) }
    return outcome
  }

  private func originals() throws -> PretrainedFolder.Changes {
    let url = folder.appendingPathComponent(MergedCheckpoint.originalsName)
    let file = try SafetensorsFile(contentsOf: url)
    let (wanted, found) = (Set(record.changed), Set(file.names))
    guard wanted == found else {
      throw MergedCheckpointError.originals(
        url.path, missing: wanted.subtracting(found).sorted(), unexpected: found.subtracting(wanted).sorted())
    }
    return PretrainedFolder.Changes(
      try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0)) }))
  }

  private func originals(of base: URL) throws -> PretrainedFolder.Changes {
    let base = try PretrainedFolder(base)
    guard base.digest == record.base.digest else {
      throw MergedCheckpointError.otherBase(base.url.path, expected: record.base.digest, found: base.digest)
    }
    return PretrainedFolder.Changes(
      try Dictionary(record.changed.map { ($0, try base.tensor($0)) }) { first, _ in first })
  }

  /// The recorded adapters with the weights, and the mean gates, that they were merged with.
  private func terms(_ folders: [URL], onto backbone: any PretrainedNetwork) throws -> [Merge.Term] {
    var left = record.adapters
    let terms = try folders.map { folder in
      let digest = try MergeRecord.digest(ofAdapter: folder)
      guard let place = left.firstIndex(where: { $0.digest == digest }) else {
        throw MergedCheckpointError.otherAdapter(folder.path, recorded: record.adapters.map(\.folder))
      }
      let part = left.remove(at: place)
      let model = try AdapterFolder.load(from: folder, onto: backbone, allowingOtherBackbone: true)
      return Merge.Term(model, weight: part.weight, gates: part.gates)
    }
    guard left.isEmpty else { throw MergedCheckpointError.missingAdapters(left.map(\.folder)) }
    return terms
  }
}
