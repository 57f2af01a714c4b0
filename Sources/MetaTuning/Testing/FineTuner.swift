import Adapters
import Datasets
import NeuralNetworks
import Tensors
import Training

/// Carries out `FineTuning` on one support set.
@Compute
struct FineTuner {
  let tuning: FineTuning
  let precision: TrainingConfiguration.Precision

  /// Trains the model's parameters in place.
  ///
  /// - Parameters:
  ///   - support: `[count, …]`
  ///   - labels: `0 ..< ways`, one for each.
  ///   - rate: the optimizer's.
  ///   - seed: of the augmentation and of dropout.
  /// - Returns: whether all went well; false where a loss or a gradient was not finite and training stopped there.
  func tune(
    _ model: AdaptedModel, support: Tensor, labels: [Int], ways: Int, rate: Double, seed: UInt64
  ) throws -> Bool {
    let parameters = model.adapter.parameters
    guard !parameters.isEmpty else {
      throw MetaTestError.nothingTrains(method: type(of: model.adapter.configuration).method)
    }
    guard rate > 0 else { return true }
    let optimizer = try Optimizer(tuning.optimizer, groups: [.init(parameters)])
    let device = model.backbone.device
    let targets = try Tensor(labels.map(Int64.init)).to(device)
    let dropout = try Generator(seed: seed).derived("dropout")
    var draws = Xoshiro256(seed: seed, stream: RandomStream.support)
    for _ in 0..<tuning.steps {
      try Task.checkCancellation()
      try optimizer.clearGradients()
      let copy = try tuning.augmentation?(support, using: &draws) ?? support
      let pass = ForwardPass(.training(dropout))
      let loss = try precision.applied(on: device) {
        let prototypes = try Prototypes.means(of: model.features(support), labels: labels, ways: ways)
        let logits = try Prototypes.logits(model.features(copy, pass: pass), prototypes)
        return try pass.auxiliaryLosses.reduce(logits.to(.float32).crossEntropy(targets)) { try $0 + $1 }
      }
      guard try loss.detached().item().isFinite else { return false }
      try loss.backward()
      do {
        _ = try optimizer.gradientNorm()
      } catch OptimizerError.gradientNotFinite {
        return false
      }
      try optimizer.step(rate: rate)
    }
    return true
  }
}

/// What the draws of a test are for; the first words of their streams.
enum RandomStream {
  static let support: UInt64 = 0x7375_7070
  static let folds: UInt64 = 0x666f_6c64
  static let tuning: UInt64 = 0x7475_6e65
  static let search: UInt64 = 0x7365_6172
}
