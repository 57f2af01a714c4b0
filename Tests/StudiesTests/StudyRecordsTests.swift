import Foundation
import Testing

@testable import Studies

@Suite struct StudyRecordsTests {
  private let signs = MixtureRecord.Signs(
    pairwise: 0, any: 0, minority: 0, pairwiseDelta: 0, anyDelta: 0, minorityDelta: 0)

  /// Written, and read back for two domains of 10 and 20 test examples.
  private func read<Record: StudyRecord>(_ records: [Record]) throws -> [Record] {
    let folder = try TemporaryFolder()
    let file = RecordFile<Record>(in: folder.url)
    try file.write(records)
    do { return try file.read([10, 20]) } catch StudyError.damaged(_, let problem) {
      throw StudyError.damaged(file: "records.jsonl", problem: problem)
    }
  }

  private func refusal(line: Int) -> StudyError {
    .damaged(file: "records.jsonl", problem: "has a line \(line) that is no record of this study")
  }

  private func attack(_ members: [Int], _ domain: Int, _ counts: [Int]) -> AttackRecord {
    AttackRecord(
      attack: "PWWS", members: members, domain: domain, examples: counts[0], correct: counts[1],
      withstood: counts[2], queries: counts[3], changedWords: counts[4], words: counts[5])
  }

  @Test func `what was written is read`() throws {
    let mixtures = [
      MixtureRecord(members: [1], correct: [20], signs: signs),
      MixtureRecord(members: [0, 1], correct: [0, 20], signs: signs),
    ]
    #expect(try read(mixtures) == mixtures)
    let attacks = [attack([0, 1], 1, [20, 20, 0, 99, 3, 3])]
    #expect(try read(attacks) == attacks)
    let similarity = [SimilarityRecord(similarities: [[1, 0], [0, 1]])]
    #expect(try read(similarity) == similarity)
  }

  @Test(
    arguments: [
      ([], []), ([2], [1]), ([-1], [1]), ([1, 0], [1, 1]), ([0, 0], [1, 1]), ([0], [11]), ([0], [-1]), ([0, 1], [1]),
    ] as [([Int], [Int])]) func `members and counts that the study does not have are refused`(
      members: [Int], correct: [Int]
    ) throws
  {
    let good = MixtureRecord(members: [0], correct: [1], signs: signs)
    #expect(throws: refusal(line: 2)) {
      try read([good, MixtureRecord(members: members, correct: correct, signs: signs)])
    }
    let pruned = PruningRecord(
      criterion: "magnitude", order: .single, density: 1, kept: 1, members: members, correct: correct)
    #expect(throws: refusal(line: 1)) { try read([pruned]) }
  }

  @Test func `attacks and similarities that do not add up are refused`() throws {
    let attacks = [
      attack([0], 1, [1, 1, 1, 1, 1, 1]), attack([0], 0, [11, 1, 1, 1, 1, 1]), attack([0], 0, [2, 3, 1, 1, 1, 1]),
      attack([0], 0, [2, 1, -1, 1, 1, 1]), attack([0], 0, [2, 1, 1, .max, 1, 1]), attack([0], 0, [2, 1, 1, 1, 2, 1]),
    ]
    for record in attacks { #expect(throws: refusal(line: 1)) { try read([record]) } }
    for rows in [[[1.0, 0]], [[1, 0], [0]], [[1, 0, 0], [0, 1, 0]]] {
      #expect(throws: refusal(line: 1)) { try read([SimilarityRecord(similarities: rows)]) }
    }
  }
}
