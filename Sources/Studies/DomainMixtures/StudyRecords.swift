import Formats
import Foundation

/// A line of a record file. What was read is of use only where it is of the study's domains.
protocol StudyRecord: Codable, Sendable {
  /// - Parameter testCounts: test examples of each domain.
  func fits(_ testCounts: [Int]) -> Bool
}

extension StudyRecord {
  /// Whether there are such members, ascending, and each has no more right than it has examples.
  fileprivate static func areMembers(_ members: [Int], _ correct: [Int]? = nil, of testCounts: [Int]) -> Bool {
    guard !members.isEmpty, members.allSatisfy(testCounts.indices.contains),
      zip(members, members.dropFirst()).allSatisfy({ $0 < $1 })
    else { return false }
    guard let correct else { return true }
    return correct.count == members.count && zip(members, correct).allSatisfy { 0 <= $1 && $1 <= testCounts[$0] }
  }
}

/// How a mixture did on the test part of each of its members.
struct MixtureRecord: StudyRecord, Hashable {
  /// Domains, ascending.
  var members: [Int]
  /// Test examples classified right, for each member with its classifier.
  var correct: [Int]
  var signs: Signs

  /// The members' fraction of sign difference, by what it is the sign of and how a set becomes one number.
  struct Signs: Codable, Hashable, Sendable {
    var pairwise: Double
    var any: Double
    var minority: Double
    var pairwiseDelta: Double
    var anyDelta: Double
    var minorityDelta: Double
  }

  var set: MixtureSet { MixtureSet(members) }

  func fits(_ testCounts: [Int]) -> Bool { Self.areMembers(members, correct, of: testCounts) }
}

/// How pruned adapters did.
struct PruningRecord: StudyRecord, Hashable {
  static let consensus = "consensus"

  enum Order: String, Codable, Sendable {
    /// The pruned adapter of one domain alone.
    case single
    case pruneThenMix = "prune, mix"
    case mixThenPrune = "mix, prune"
  }

  /// Of `Pruning.Criterion`, or `consensus`.
  var criterion: String
  var order: Order
  /// Asked for.
  var density: Double
  /// The fraction of the weights that are not 0, in the pruned adapters or, where it is pruned, in the mixture.
  var kept: Double
  var members: [Int]
  var correct: [Int]
  /// Of the pruned adapters, weights that are 0 agreeing with all.
  var ignoringZeros: Double?
  /// Among weights that are 0 in neither.
  var excludingZeros: Double?

  func fits(_ testCounts: [Int]) -> Bool { Self.areMembers(members, correct, of: testCounts) }
}

/// How a mixture stood one attack on one domain's test examples.
struct AttackRecord: StudyRecord, Hashable {
  var attack: String
  var members: [Int]
  var domain: Int
  var examples: Int
  /// Classified right before the attack.
  var correct: Int
  /// And after it.
  var withstood: Int
  var queries: Int
  /// Words changed where the attack succeeded, and words there were.
  var changedWords: Int
  var words: Int

  func fits(_ testCounts: [Int]) -> Bool {
    func isOrdered(_ counts: Int...) -> Bool { zip(counts, counts.dropFirst()).allSatisfy { $0 <= $1 } }
    // The bound keeps sums from overflowing.
    return Self.areMembers(members, of: testCounts) && members.contains(domain)
      && isOrdered(0, withstood, correct, examples, testCounts[domain]) && isOrdered(0, changedWords, words, 1 << 40)
      && isOrdered(0, queries, 1 << 40)
  }
}

/// Mean cosine between the sentences of two domains.
struct SimilarityRecord: StudyRecord, Hashable {
  var similarities: [[Double]]

  func fits(_ testCounts: [Int]) -> Bool {
    similarities.count == testCounts.count && similarities.allSatisfy { $0.count == testCounts.count }
  }
}

/// A file of one record on each line, written whole at each step: what a reader finds is complete, whenever the writer
/// stopped.
struct RecordFile<Record: StudyRecord>: Sendable {
  let url: URL

  init(in folder: URL) { url = folder.appendingPathComponent("records.jsonl") }

  /// Empty where nothing is recorded yet.
  ///
  /// - Parameter testCounts: test examples of each domain, which records must fit.
  /// - Throws: `StudyError.damaged`, `FileError`.
  func read(_ testCounts: [Int]) throws -> [Record] {
    guard FileManager.default.fileExists(atPath: url.path) else { return [] }
    let data = try Data(contentsOf: url)
    let decoder = JSONDecoder()
    return try data.split(separator: UInt8(ascii: "\n")).enumerated().map { number, line in
      guard let record = try? decoder.decode(Record.self, from: line), record.fits(testCounts) else {
        throw StudyError.damaged(file: url.path, problem: "has a line \(number + 1) that is no record of this study")
      }
      return record
    }
  }

  func write(_ records: [Record]) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    var data = Data()
    for record in records {
      data += try encoder.encode(record)
      data.append(UInt8(ascii: "\n"))
    }
    try AtomicFile.write(data, to: url)
  }
}
