import Adapters
import Formats
import Foundation

/// A mixture: one adapter, what it cost to write it as one, and where it comes from.
public struct MixResult: Sendable {
  /// The adapter on the members' backbone, with the classifier that was asked for.
  public let model: AdaptedModel
  public let report: MixReport
  public let provenance: MixProvenance

  /// Writes the adapter's folder with `mix.json` in it, whole or not at all.
  ///
  /// - Throws: `FileError` where the disk refuses or the folder is not empty.
  public func save(to folder: URL) throws {
    try AtomicFolder.write(to: folder) { temporary in
      let inner = temporary.appendingPathComponent("adapter", isDirectory: true)
      try model.save(to: inner)
      for name in try FileManager.default.contentsOfDirectory(atPath: inner.path) {
        try FileManager.default.moveItem(
          at: inner.appendingPathComponent(name), to: temporary.appendingPathComponent(name))
      }
      try FileManager.default.removeItem(at: inner)
      try AtomicFile.write(
        provenance.json().text(.readable) + "\n", to: temporary.appendingPathComponent(MixProvenance.fileName))
    }
  }
}
