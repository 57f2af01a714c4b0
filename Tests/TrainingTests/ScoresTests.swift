import Testing

@testable import Training

@Suite struct ScoresTests {
  private func scores(target: Int?, in accuracies: [Double?] = [nil, 0.5, nil]) -> Scores {
    let domains = zip(["ink", "oil", "pen"], zip(accuracies, [0.5, 0.75, 1])).map { name, parts in
      Scores.Domain(name: name, inAccuracy: parts.0, outAccuracy: parts.1, inCount: 8, outCount: 2)
    }
    return Scores(step: 200, domains: domains, trainingLoss: nil, target: target)
  }

  @Test func `validation is the mean over the sources' held-out parts, each counting once`() {
    #expect(scores(target: 1).validation == 0.75)
    #expect(scores(target: nil).validation == 0.75)
    #expect(scores(target: 0).validation == 0.875)
  }

  @Test func `the target is reported on its larger part and as a whole`() {
    #expect(scores(target: 1).targetIn == 0.5)
    #expect(scores(target: 1).targetWhole == (0.5 * 8 + 0.75 * 2) / 10)
    #expect(scores(target: 0).targetIn == nil && scores(target: 0).targetWhole == nil)
    #expect(scores(target: 9).targetWhole == nil && scores(target: nil).targetIn == nil)
  }

  @Test func `the line names step, sources and target`() {
    #expect(scores(target: 1).description == "step 200: sources 75.0 %, oil 55.0 %")
    #expect(scores(target: nil).description == "step 200: sources 75.0 %")
  }
}
