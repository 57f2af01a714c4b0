import Formats
import Foundation

/// What one run of a few-shot study found; the file `result.json` of its folder.
struct FewShotResult: Codable, Sendable, Hashable {
  static let fileName = "result.json"

  /// One data set at one scale of the trained offset.
  struct Test: Codable, Sendable, Hashable {
    var dataset: String
    /// 1 for the network as it was trained.
    var scale: Double
    /// Of each test episode, in the order that all runs of a seed share.
    var accuracies: [Double]
    /// α of each test episode, one number for each expert; empty where nothing is mixed.
    var mixings: [[Double]]
  }

  /// What became of the masks.
  struct Experts: Codable, Sendable, Hashable {
    /// The fraction of exact zeros in each expert's mask.
    var sparsity: [Double]
    /// The fraction of the weights that are in any expert.
    var union: Double
    /// Intersection over union of the supports of each pair.
    var overlaps: [Double]
    /// The fraction of gates that are neither 0 nor 1.
    var between: Double
    var multipliers: [Double]
  }

  /// Of the test episodes; see `MetaTest.digest`.
  var digest: String
  /// Mean accuracy on the training data sets' validation classes, at each scale.
  var validation: [Validation]
  var tests: [Test]
  var experts: Experts?
  /// Of the training alone.
  var seconds: Double

  struct Validation: Codable, Sendable, Hashable {
    var scale: Double
    var accuracy: Double
  }

  func write(in folder: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    try AtomicFile.write(try encoder.encode(self), to: folder.appendingPathComponent(Self.fileName))
  }

  /// - Throws: `StudyError.damaged`
  static func read(in folder: URL) throws -> FewShotResult {
    let file = folder.appendingPathComponent(fileName)
    do {
      return try JSONDecoder().decode(FewShotResult.self, from: Data(contentsOf: file))
    } catch {
      throw StudyError.damaged(file: file.path, problem: "is no result of this study (\(error))")
    }
  }
}
