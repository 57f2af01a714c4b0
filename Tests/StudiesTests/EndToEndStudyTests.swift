import Adapters
import Datasets
import Foundation
import Mixing
import NeuralNetworks
import Studies
import Tensors
import Testing
import Tokenizers
import Training

/// A study of two domains on the real MiniLM, as small as one can be, with everything in it.
@Suite struct EndToEndStudyTests {
  private static let cache =
    ProcessInfo.processInfo.environment["GRAFT_CACHE"].map { URL(fileURLWithPath: $0) }
    ?? FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(".cache/graft")
  private static let model = cache.appendingPathComponent("models/minilm")
  private static let texts = cache.appendingPathComponent("data/text-domains")
  private static let wordNet = cache.appendingPathComponent("data/wordnet")
  private static let isFetched = [model, texts, wordNet].allSatisfy {
    FileManager.default.fileExists(atPath: $0.path)
  }

  @Test(.enabled(if: isFetched)) func `two domains of real texts are trained, mixed, pruned and attacked`() async throws
  {
    Threads.count = 1
    let backbone = try TextTransformer(from: Self.model)
    let tokenizer = try Tokenizer(from: Self.model)
    var options = TextFolder.Options()
    options.domains = ["amazon", "tweets"]
    let domains = try TextFolder.tasks(at: Self.texts, options: options).map { folder in
      let examples = try TextExamples(folder, tokenizer: tokenizer, for: backbone, maximumLength: 24)
      var split = TextSplit.Options()
      split.largestTraining = 200
      split.largestTest = 24
      return try StudyDomain(folder.domains[0], examples, folder.split(ofDomain: 0, split))
    }
    var configuration = StudyConfiguration()
    configuration.recipe.steps = 12
    configuration.recipe.batchPerDomain = 16
    configuration.recipe.learningRate = 3e-3
    configuration.seeds = [1]
    configuration.precision = .bfloat16
    configuration.similarityExamples = 20
    configuration.pruning = .init()
    configuration.pruning?.densities = [0.5]
    configuration.robustness = .init()
    configuration.robustness?.sizes = [1, 2]
    configuration.robustness?.examples = 4
    configuration.robustness?.queries = 30
    let folder = try TemporaryFolder()
    let study = try DomainMixtureStudy(
      of: domains, backbone: backbone,
      kinds: [StudyKind(Method("LoRA", LoRA(rank: 4), at: [.query, .value]), space: .delta)],
      configuration: configuration, attacks: [DeepWordBug(edits: 6), PWWS(try WordNet(from: Self.wordNet))],
      encode: { texts in
        try backbone.input(texts.map { try tokenizer.encode($0, maximumLength: 24).ids.map(Int.init) })
      }, output: folder.url)
    let report = try await study.finish()
    #expect(report.isComplete && report.failures.isEmpty)
    let kind = try #require(report.kinds.first)
    // Two classes: well above chance after a dozen steps.
    #expect(kind.sizes[0].accuracy.mean > 0.6)
    #expect(kind.sizes.map(\.measured) == [2, 2])
    #expect(report.similarities[0][1] > 0 && report.similarities[0][1] < report.similarities[0][0])
    #expect(kind.attacks.map(\.attack) == ["DeepWordBug", "DeepWordBug", "PWWS", "PWWS"])
    for result in kind.attacks {
      #expect(result.after.mean < result.before.mean)
      #expect(result.queries > 1 && result.queries <= 30)
    }
  }
}
