import Datasets
import Foundation
import Tensors
import Testing

@testable import Training

@Suite struct TextExamplesTests {
  /// A domain a file; labels alternate. A text is made into its numbers: "5 6" has the tokens 5 and 6.
  private func makeFolder(_ domains: [[String]], second: String? = nil) throws -> TextFolder {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("graft-texts-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: root) }
    for (number, texts) in domains.enumerated() {
      let rows = texts.enumerated().map { "\($1)\t\(second ?? "")\t\(["no", "yes"][$0 % 2])\n" }
      try Data(("text\tmore\tlabel\n" + rows.joined()).utf8)
        .write(to: root.appendingPathComponent("d\(number).tsv"))
    }
    var options = TextFolder.Options()
    options.secondText = second.map { _ in "more" }
    return try TextFolder(at: root, options: options)
  }

  private func make(
    _ folder: TextFolder, tokenizer: String = "numbers", padding: Int = 99, maximum: Int = 6, multiple: Int = 1
  ) throws -> TextExamples {
    try TextExamples(
      folder, tokenizer: tokenizer, paddingToken: padding, maximumLength: maximum, lengthMultiple: multiple
    ) { text, second in
      let first = text.split(separator: " ").compactMap { Int32($0) }
      let more = second?.split(separator: " ").compactMap { Int32($0) } ?? []
      let types = [Int32](repeating: 0, count: first.count) + [Int32](repeating: 1, count: more.count)
      return (Array((first + more).prefix(maximum)), Array(types.prefix(maximum)))
    }
  }

  private let texts = [["1", "2 3 4", "5 6"], ["7 8 9 10 11 12 13", "14 15"]]

  private func batches(_ examples: TextExamples, _ plan: [[Int]]) async throws -> [Batch] {
    struct Plan: BatchPlan {
      var steps: [[Int]]
      func samples(atStep step: Int) -> [Int]? { steps.indices.contains(step) ? steps[step] : nil }
    }
    var batches: [Batch] = []
    for try await batch in examples.batches(of: Plan(steps: plan), steps: 0..<9, for: .evaluation) {
      batches.append(batch)
    }
    return batches
  }

  @Test func `a batch holds ids, types and mask, as long as its longest text`() async throws {
    let examples = try make(makeFolder(texts))
    #expect(examples.lengths == [1, 3, 2, 6, 2] && examples.ranges == [0..<3, 3..<5])
    #expect(examples.classes == ["no", "yes"] && examples.labels == [0, 1, 0, 0, 1])
    let made = try await batches(examples, [[2, 1], [0], [4, 3]])
    #expect(made.map(\.inputs.shape) == [[2, 3, 3], [1, 3, 1], [2, 3, 6]])
    #expect(made.allSatisfy { $0.inputs.dtype == .int64 })
    #expect(
      try made[0].inputs.integers() == [5, 6, 99, 0, 0, 0, 1, 1, 0] + [2, 3, 4, 0, 0, 0, 1, 1, 1])
    #expect(
      try made[2].inputs.integers()
        == [14, 15, 99, 99, 99, 99, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0] + [7, 8, 9, 10, 11, 12]
        + [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    #expect(try made.map { try $0.labels.integers() } == [[0, 1], [0], [1, 0]])
    #expect(Array(examples.tokens(of: 1)) == [2, 3, 4] && examples.tokens(of: 5).isEmpty)
  }

  @Test func `the second text of a pair has its own type`() async throws {
    let examples = try make(makeFolder([["1 2", "3"]], second: "8 9"))
    let made = try await batches(examples, [[0, 1]])
    #expect(
      try made[0].inputs.integers()
        == [1, 2, 8, 9, 0, 0, 1, 1, 1, 1, 1, 1] + [3, 8, 9, 99, 0, 1, 1, 0, 1, 1, 1, 0])
  }

  @Test func `lengths are rounded up to a multiple, and never beyond the most of a text`() async throws {
    let examples = try make(makeFolder(texts), multiple: 4)
    #expect(try await batches(examples, [[0], [1, 2], [3]]).map { $0.inputs.shape[2] } == [4, 4, 6])
  }

  @Test func `the fingerprint changes with texts, tokenizer and lengths`() throws {
    let folder = try makeFolder(texts)
    let first = try make(folder).fingerprint
    #expect(try make(makeFolder(texts)).fingerprint == first)
    #expect(try make(makeFolder([["1", "2 3 4", "5 7"], texts[1]])).fingerprint != first)
    #expect(try make(folder, tokenizer: "other").fingerprint != first)
    #expect(try make(folder, maximum: 5).fingerprint != first)
    #expect(try make(folder, padding: 0).fingerprint != first)
    #expect(try make(folder, multiple: 8).fingerprint != first)
  }

  @Test func `training takes every text once in a pass, those of like length together`() throws {
    let folder = try makeFolder([(0..<40).map { String(repeating: "1 ", count: 1 + $0 * 7 % 6) }])
    let examples = try make(folder)
    let fold = Fold(target: nil, parts: [.init(in: Array(0..<40), out: [])], selectsStep: false)
    let plan = try examples.trainingPlan(for: fold, perDomain: 4, seed: 2)
    let steps = (0..<10).map { plan.samples(atStep: $0) ?? [] }
    #expect(steps.joined().sorted() == Array(0..<40))
    let lengths = try #require(examples.lengths)
    let padded = steps.reduce(0) { sum, step in sum + step.count * (step.map { lengths[$0] }.max() ?? 0) }
    // Lengths 1 to 4 seven times, 5 and 6 six times: sorted and cut in fours, 8 places are left to fill.
    #expect(lengths.reduce(0, +) == 136 && padded == 144)
    // Inputs of one shape are drawn as ever.
    #expect(try tinyExamples().trainingPlan(for: fold, perDomain: 4, seed: 2) is BatchSampler)
  }

  @Test func `what makes no batch is refused, and tokens that do not fit name their line`() throws {
    let folder = try makeFolder(texts)
    #expect(throws: TextExamplesError.maximumLength(0, limit: nil)) { try make(folder, maximum: 0) }
    #expect(throws: TextExamplesError.lengthMultiple(0)) { try make(folder, multiple: 0) }
    #expect(throws: TextExamplesError.lengthMultiple(Int.max)) { try make(folder, multiple: .max) }
    let wordless = try makeFolder([["1", "x"]])
    let error = #expect(throws: TextExamplesError.self) { try make(wordless) }
    #expect(
      error?.description == "d0.tsv:3 was made into 0 tokens. Use the tokenizer that belongs to the model.")
  }

  @Test func `an index out of range is refused`() async throws {
    let examples = try make(makeFolder(texts))
    await #expect(throws: TextExamplesError.noText(5, count: 5)) { try await batches(examples, [[0, 5]]) }
  }
}
