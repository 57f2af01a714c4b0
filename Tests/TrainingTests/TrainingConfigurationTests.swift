import Datasets
import Foundation
import Testing

@testable import Training

@Suite struct TrainingConfigurationTests {
  private func decode(_ json: String) throws -> TrainingConfiguration {
    try JSONDecoder().decode(TrainingConfiguration.self, from: Data(json.utf8))
  }

  @Test func `the paper's recipe is the published one`() {
    let paper = TrainingConfiguration.paper
    #expect(paper.steps == 5_001 && paper.batchPerDomain == 32 && paper.evaluationInterval == 200)
    #expect(paper.learningRate == 5e-5 && paper.optimizer == OptimizerSettings(.adam))
    #expect(paper.optimizer.beta1 == 0.9 && paper.optimizer.beta2 == 0.999 && paper.optimizer.epsilon == 1e-8)
    #expect(paper.schedule == .constant && paper.clip == nil && paper.precision == .float32 && paper.holdout == 0.2)
    #expect(paper.imageSize == 224 && paper.augmentation == TrainingTransform.Settings() && paper.auxiliaryLoss)
  }

  @Test func `a key left out keeps its default`() throws {
    let read = try decode(#"{"steps": 7, "schedule": "cosine", "optimizer": "adamw", "weight_decay": 0.1}"#)
    var expected = TrainingConfiguration(steps: 7)
    expected.schedule.shape = .cosine
    expected.optimizer = OptimizerSettings(.adamW, weightDecay: 0.1)
    #expect(read == expected)
  }

  @Test func `null means none where none is possible`() throws {
    #expect(try decode(#"{"augmentation": null}"#).augmentation == nil)
    #expect(try decode(#"{"clip": 0.5}"#).clip == 0.5)
    #expect(try decode(#"{"clip": null}"#).clip == nil)
  }

  @Test func `what is written reads back the same`() throws {
    var configuration = TrainingConfiguration.paper
    configuration.clip = 1.5
    configuration.checkpointInterval = 3
    configuration.normalization = .clip
    configuration.precision = .bfloat16
    configuration.badImages = .skip
    configuration.augmentation?.hue = 0.1
    configuration.schedule = LearningRateSchedule(.linear, warmup: 9, floor: 0.25)
    configuration.seed = UInt64(Int.max)
    let data = try JSONEncoder().encode(configuration)
    #expect(try JSONDecoder().decode(TrainingConfiguration.self, from: data) == configuration)
    let written = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(Set(written.keys) == Set(TrainingConfiguration.keys))
  }

  @Test func `an unknown key is refused with the nearest known one`() {
    let expected = TrainingConfigurationError.unknownKey(
      "lerning_rate", suggestion: " Did you mean 'learning_rate'?")
    #expect(throws: expected) { try decode(#"{"lerning_rate": 0.1}"#) }
    #expect("\(expected)" == "Training has no setting 'lerning_rate'. Did you mean 'learning_rate'?")
  }

  @Test(arguments: [
    (#"{"steps": 0}"#, "steps"), (#"{"batch_per_domain": -1}"#, "batch_per_domain"),
    (#"{"learning_rate": 0}"#, "learning_rate"), (#"{"holdout": 1}"#, "holdout"),
    (#"{"label_smoothing": 1}"#, "label_smoothing"), (#"{"clip": 0}"#, "clip"), (#"{"beta2": 1}"#, "beta2"),
    (#"{"rate_floor": 2}"#, "rate_floor"), (#"{"accumulation": 0}"#, "accumulation"),
    (#"{"image_size": 9999}"#, "image_size"), (#"{"kept_checkpoints": 0}"#, "kept_checkpoints"),
    (#"{"seed": 18446744073709551615}"#, "seed"),
  ])
  func `a value out of its range is refused by name`(_ json: String, _ key: String) {
    let error = #expect(throws: TrainingConfigurationError.self) { try decode(json) }
    guard case .range(key, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }
}
