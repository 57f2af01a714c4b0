import Formats
import Reports

/// Turns the events of a run into the lines of its results file.
public struct RecordLog: Sendable {
  private let run: RunArguments
  private let hyperparameters: JSONObject
  private let batchPerDomain: Int
  private let sources: Int
  private let smallestPool: Int
  private let extras: JSONObject
  private var seconds = 0.0
  private var steps = 0
  private var memory = 0

  public init(
    run: RunArguments, hyperparameters: JSONObject, examples: any Examples, fold: Fold, batchPerDomain: Int
  ) {
    self.run = run
    self.hyperparameters = hyperparameters
    self.batchPerDomain = batchPerDomain
    sources = fold.sources.count
    smallestPool = max(1, fold.pools.map(\.count).min() ?? 1)
    extras =
      examples.badSamples.isEmpty ? [:] : ["bad_images": .array(examples.badSamples.map { .string("\($0)") })]
  }

  /// Takes note of a step's time and memory.
  public mutating func add(_ report: StepReport) {
    if report.imagesPerSecond > 0 { seconds += Double(sources * batchPerDomain) / report.imagesPerSecond }
    steps += 1
    memory = max(memory, report.peakMemory)
  }

  /// The line for an evaluation; the mean time of a step starts anew after it.
  public mutating func record(_ scores: Scores) -> ResultRecord {
    defer { (seconds, steps) = (0, 0) }
    return ResultRecord(
      run: run, hyperparameters: hyperparameters, step: scores.step,
      epoch: Double(scores.step) * Double(batchPerDomain) / Double(smallestPool), loss: scores.trainingLoss,
      stepTime: steps > 0 ? seconds / Double(steps) : nil, memory: Double(memory) / 0x1p30,
      domains: scores.domains.map(\.score), extras: extras)
  }
}
