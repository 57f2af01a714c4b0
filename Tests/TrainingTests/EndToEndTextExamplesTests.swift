import Datasets
import Foundation
import Tensors
import Testing
import Tokenizers

@testable import Training

/// On the real sentences of `scripts/fetch sentiment minilm`.
@Suite(
  .enabled(
    if: FetchedFiles.has("data/sentiment") && FetchedFiles.has("models/minilm"), "run scripts/fetch sentiment minilm")
)
struct EndToEndTextExamplesTests {
  /// Tokens and padding of a plan's batches.
  private func cells(_ plan: any BatchPlan, _ steps: Range<Int>, _ lengths: [Int]) -> (tokens: Int, padding: Int) {
    var (tokens, padding) = (0, 0)
    for step in steps {
      guard let batch = plan.samples(atStep: step)?.map({ lengths[$0] }), let longest = batch.max() else { break }
      let held = batch.reduce(0, +)
      (tokens, padding) = (tokens + held, padding + batch.count * longest - held)
    }
    return (tokens, padding)
  }

  @Test func `batches of like lengths are padded less than a third as much as drawn ones`() async throws {
    let folder = try TextFolder(at: FetchedFiles.folder("data/sentiment"))
    let tokenizer = try Tokenizer(from: FetchedFiles.folder("models/minilm"))
    let examples = try TextExamples(folder, tokenizer: tokenizer, paddingToken: 0, maximumLength: 128)
    let lengths = try #require(examples.lengths)
    #expect(lengths.count == 19_459)
    // [CLS] troubleshooting ad - 2500 and ad - 2600 no picture scrolling b / w . [SEP]
    #expect(Array(examples.tokens(of: 0)).first == 101 && examples.tokens(of: 0).last == 102)

    let pools = examples.ranges.map { Array($0) }
    let fold = Fold(target: nil, parts: pools.map { .init(in: $0, out: []) }, selectsStep: false)
    let plan = try examples.trainingPlan(for: fold, perDomain: 8, seed: 1)
    let grouped = cells(plan, 0..<320, lengths)
    let drawn = cells(try BatchSampler(pools: pools, perDomain: 8, seed: 1), 0..<320, lengths)
    let shares = [drawn, grouped].map { Double($0.padding) / Double($0.padding + $0.tokens) }
    #expect(shares[0] > 0.4 && shares[1] < shares[0] / 3, "\(shares)")

    let all = Array(lengths.indices)
    let sorted = cells(SequentialBatches(LengthOrder(all, of: examples).indices, batchSize: 64), 0..<1000, lengths)
    #expect(sorted.tokens == lengths.reduce(0, +) && sorted.padding * 50 < sorted.tokens)

    // What goes into the model is as long as the plan says.
    for try await batch in examples.batches(of: plan, steps: 0..<3, for: .training(seed: 0)) {
      #expect(batch.inputs.shape == [32, 3, batch.indices.map { lengths[$0] }.max() ?? 0])
      #expect(
        try batch.inputs.select(1, 2).sum().item() as Double == Double(batch.indices.reduce(0) { $0 + lengths[$1] }))
    }
  }
}

/// What `scripts/fetch` has built.
private enum FetchedFiles {
  static func folder(_ name: String) -> URL {
    let variables = ProcessInfo.processInfo.environment
    let caches =
      variables["XDG_CACHE_HOME"].map { URL(fileURLWithPath: $0) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".cache")
    let root = variables["GRAFT_CACHE"].map { URL(fileURLWithPath: $0) } ?? caches.appending(path: "graft")
    return root.appending(path: name)
  }

  static func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: folder(name).path) }
}
