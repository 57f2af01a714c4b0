import Testing

@testable import Reports

@Suite struct ModelSelectionTests {
  /// One run with target 0 and sources 1 and 2, whose best step differs by what one looks at.
  let run = [
    record(step: 0, target: (0.30, 0.35), sources: [0.5, 0.6]),  // sources 0.55
    record(step: 100, target: (0.50, 0.45), sources: [0.9, 0.6]),  // sources 0.75
    record(step: 200, target: (0.40, 0.65), sources: [0.7, 0.8]),  // sources 0.75, the tie
    record(step: 300, target: (0.45, 0.55), sources: [0.7, 0.7]),  // sources 0.70
  ]

  @Test func `training-domain validation takes the first step with the best mean over the sources`() throws {
    let choice = try #require(ModelSelection.trainingDomainValidation.choose(from: run, target: 0))
    #expect(choice.record.step == 100)
    #expect(choice.validation == 0.75)
    #expect(choice.targetIn == 0.50)
    // 80 images at 0.50 and 20 at 0.45.
    #expect(choice.targetWhole == 0.49)
  }

  @Test func `the order of the records does not decide a tie, their steps do`() {
    #expect(ModelSelection.trainingDomainValidation.choose(from: run.reversed(), target: 0)?.record.step == 100)
  }

  @Test func `the last step is the highest, with its source accuracy`() {
    let choice = ModelSelection.lastStep.choose(from: run.reversed(), target: 0)
    #expect(choice?.record.step == 300)
    #expect(choice?.validation == 0.70)
  }

  @Test func `the oracle stops where the target's out split is best, DomainBed's at the last step`() {
    let stopped = ModelSelection.oracle.choose(from: run, target: 0)
    #expect(stopped?.record.step == 200)
    #expect(stopped?.validation == 0.65)
    let last = ModelSelection.oracleLastStep.choose(from: run, target: 0)
    #expect(last?.record.step == 300)
    #expect(last?.validation == 0.55)
    #expect(ModelSelection.allCases.filter(\.seesTarget) == [.oracle, .oracleLastStep])
  }

  @Test func `among runs the best validation wins, and of equals the higher hyperparameter seed`() {
    let runs = [
      record(step: 0, hparams: 2, target: (0.2, 0.2), sources: [0.8, 0.8]),
      record(step: 0, hparams: 1, target: (0.1, 0.1), sources: [0.8, 0.8]),
      record(step: 0, hparams: 0, target: (0.9, 0.9), sources: [0.7, 0.8]),
    ]
    #expect(ModelSelection.trainingDomainValidation.choose(from: runs, target: 0)?.record.run.hparamsSeed == 2)
    #expect(ModelSelection.oracle.choose(from: runs, target: 0)?.record.run.hparamsSeed == 0)
  }

  @Test func `a step that is not a number never wins`() {
    var runs = run
    runs[1].domains[2].outAccuracy = .nan
    #expect(ModelSelection.trainingDomainValidation.choose(from: runs, target: 0)?.record.step == 200)
    #expect(ModelSelection.trainingDomainValidation.choose(from: [runs[1]], target: 0) == nil)
  }

  @Test func `only runs with this one target count`() {
    let other = record(step: 0, testDomains: [1], target: (1, 1), sources: [1, 1])
    let pair = record(step: 0, testDomains: [0, 1], target: (1, 1), sources: [1, 1])
    #expect(ModelSelection.trainingDomainValidation.choose(from: [other, pair], target: 0) == nil)
    #expect(ModelSelection.trainingDomainValidation.choose(from: [], target: 0) == nil)
  }

  @Test func `cross-validation scores each source by the run that left it out too`() throws {
    // The pair runs say: at step 0 sources reach 0.4 and 0.6, at step 100 they reach 0.6 and 0.5.
    let pairs = [
      record(step: 0, testDomains: [0, 1], target: (0, 0), sources: [9, 9], sourcesIn: [0.4, 9]),
      record(step: 0, testDomains: [2, 0], target: (0, 0), sources: [9, 9], sourcesIn: [9, 0.6]),
      record(step: 100, testDomains: [0, 1], target: (0, 0), sources: [9, 9], sourcesIn: [0.6, 9]),
      record(step: 100, testDomains: [2, 0], target: (0, 0), sources: [9, 9], sourcesIn: [9, 0.5]),
      // Step 200 lacks one pair, so it cannot be scored.
      record(step: 200, testDomains: [0, 1], target: (0, 0), sources: [9, 9], sourcesIn: [1, 9]),
    ]
    let choice = try #require(ModelSelection.leaveOneDomainOut.choose(from: run + pairs, target: 0))
    #expect(choice.record.step == 100)
    #expect(choice.record.run.testDomains == [0])
    #expect(choice.validation == 0.55)
    #expect(choice.targetIn == 0.50)
    #expect(ModelSelection.leaveOneDomainOut.choose(from: run, target: 0) == nil)
  }
}

private func record(
  step: Int, hparams: Int = 0, testDomains: [Int] = [0], target: (in: Double, out: Double), sources: [Double],
  sourcesIn: [Double] = [0.99, 0.99]
) -> ResultRecord {
  let target = DomainScore(inAccuracy: target.in, outAccuracy: target.out, inCount: 80, outCount: 20)
  return ResultRecord(
    run: RunArguments(dataset: "D", algorithm: "A", testDomains: testDomains, hparamsSeed: hparams), step: step,
    epoch: 0,
    domains: [target] + zip(sourcesIn, sources).map { DomainScore(inAccuracy: $0, outAccuracy: $1) })
}
