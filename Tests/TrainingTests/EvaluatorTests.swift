import Adapters
import NeuralNetworks
import Tensors
import Testing

@testable import Training

@Suite struct EvaluatorTests {
  @Test func `logits are the model's, in the order asked for, whatever the batch`() async throws {
    let examples = try tinyExamples()
    let model = try tinyModel()
    let indices = [80, 3, 41, 3, 17]
    let direct = try withoutGradients {
      try model.logits(examples.inputs.selected(0, Tensor(indices.map(Int64.init))))
    }
    for size in [1, 2, 64] {
      let logits = try await Evaluator(examples, batchSize: size).logits(of: model, at: indices)
      #expect(logits.shape == [5, 3])
      #expect(try logits.isClose(to: direct, tolerance: 1e-6))
    }
    #expect(try await Evaluator(examples).logits(of: model, at: []).shape == [0, 3])
  }

  @Test func `accuracy counts the largest logits`() throws {
    // Labels of the first ten examples are 0, of the next ten 1.
    let evaluator = Evaluator(try tinyExamples())
    let logits = try Tensor([9, 1, 1, 1, 9, 1, 1, 9, 1, 1, 1, 9] as [Float], shape: [4, 3])
    #expect(try evaluator.accuracy(of: logits, at: [0, 1, 10, 11]) == 0.5)
    #expect(try evaluator.accuracy(of: logits.narrowed(0, 0..<0), at: []).isNaN)
  }

  @Test func `scores cover the parts of the fold and no more`() async throws {
    let examples = try tinyExamples()
    let fold = Fold(of: examples, target: 1, trialSeed: 0)
    let evaluator = Evaluator(examples)
    let model = try tinyModel()
    let (scores, logits) = try await evaluator.scores(of: model, fold: fold, step: 3, scoresTraining: false)
    #expect(scores.step == 3 && scores.target == 1)
    #expect(scores.domains.map(\.name) == ["ink", "oil", "pen"])
    #expect(scores.domains.map { $0.inAccuracy == nil } == [true, false, true])
    for (domain, parts) in zip(scores.domains, fold.parts) {
      #expect(try await evaluator.accuracy(of: model, at: parts.out) == domain.outAccuracy)
    }
    #expect(try await evaluator.accuracy(of: model, at: fold.parts[1].in) == scores.targetIn)
    let whole = try await evaluator.accuracy(of: model, at: Array(examples.ranges[1]))
    #expect(abs(try #require(scores.targetWhole) - whole) < 1e-12)
    #expect(scores.validation == (scores.domains[0].outAccuracy + scores.domains[2].outAccuracy) / 2)
    #expect(logits?.shape == [30, 3])
    let all = try await evaluator.scores(of: model, fold: fold, step: 3, scoresTraining: true).scores
    #expect(all.domains.allSatisfy { $0.inAccuracy != nil })
  }

  @Test func `an evaluation records no graph and leaves no gradient`() async throws {
    let examples = try tinyExamples()
    let model = try tinyModel()
    let logits = try await Evaluator(examples).logits(of: model, at: [0, 1])
    #expect(!logits.requiresGradient)
    #expect(try model.parameters.allSatisfy { try $0.value.gradient() == nil })
  }
}
