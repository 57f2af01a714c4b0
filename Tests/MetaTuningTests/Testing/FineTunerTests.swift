import Adapters
import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct FineTunerTests {
  private func tuning(steps: Int, _ change: (inout FineTuning) -> Void = { _ in }) -> FineTuning {
    var tuning = FineTuning()
    tuning.steps = steps
    tuning.augmentation = nil
    tuning.optimizer = OptimizerSettings(.adam)
    change(&tuning)
    return tuning
  }

  private let labels = [0, 0, 1, 1, 2, 2]

  private func support() throws -> Tensor { try .normal([6, 3, 8, 8], from: Generator(seed: 12)) }

  /// The loss that PMF tunes by, of images that nothing varies.
  @Compute
  private func loss(_ model: AdaptedModel, _ support: Tensor) throws -> Tensor {
    let features = try model.features(support)
    return try Prototypes.logits(features, Prototypes.means(of: features, labels: labels, ways: 3))
      .crossEntropy(Tensor(labels.map(Int64.init)))
  }

  @Test @Compute func `a step follows the gradient through queries and prototypes`() throws {
    let backbone = try Tiny.vision()
    let (task, reference) = (try TaskWeights(of: backbone), try TaskWeights(of: backbone))
    let support = try support()
    try loss(reference.model, support).backward()
    let gradients = try reference.takeGradients()
    let tuner = FineTuner(tuning: tuning(steps: 1), precision: .float32)
    #expect(try tuner.tune(task.model, support: support, labels: labels, ways: 3, rate: 1e-3, seed: 1))
    for (index, gradient) in gradients.enumerated() {
      // Adam's first step is the rate, against the gradient's sign.
      let moved = try (task.tensors[index].detached() - backbone.tensors[index].tensor).doubles()
      let wrong = zip(moved, try gradient.doubles()).filter { step, slope in
        abs(slope) > 1e-5 && abs(step + (slope > 0 ? 1e-3 : -1e-3)) > 2e-6
      }
      #expect(wrong.isEmpty, "\(backbone.tensors[index].name): \(wrong.count) numbers")
    }
  }

  @Test @Compute func `steps bring the loss down, and a rate of 0 changes nothing`() throws {
    let backbone = try Tiny.vision()
    let task = try TaskWeights(of: backbone)
    let support = try support()
    let before = try loss(task.model, support).detached().item()
    let tuner = FineTuner(tuning: tuning(steps: 20), precision: .float32)
    #expect(try tuner.tune(task.model, support: support, labels: labels, ways: 3, rate: 0, seed: 1))
    #expect(try loss(task.model, support).detached().item() == before)
    #expect(try tuner.tune(task.model, support: support, labels: labels, ways: 3, rate: 3e-3, seed: 1))
    #expect(try loss(task.model, support).detached().item() < 0.7 * before)
  }

  @Test @Compute func `an adapter trains and the weights below it stay, at the rate itself`() throws {
    let backbone = try Tiny.vision()
    let task = try TaskWeights(of: backbone)
    let before = try task.tensors.map { try $0.detached().clone() }
    func tuned(factor: Double) throws -> [Tensor] {
      let model = try ReweightedBackbone(backbone, with: task.tensors)
        .adapted(by: LoRA(rank: 2), at: .queryAndValue, seed: 4)
      let tuner = FineTuner(tuning: tuning(steps: 3) { $0.rateFactor = factor }, precision: .float32)
      #expect(try tuner.tune(model, support: support(), labels: labels, ways: 3, rate: 1e-2, seed: 1))
      return try model.adapter.parameters.map { try $0.value.detached() }
    }
    // The factor is one of the rates to choose from.
    let (ten, one) = (try tuned(factor: 10), try tuned(factor: 1))
    #expect(try zip(ten, one).allSatisfy { try $0.isEqual(to: $1) })
    #expect(try ten[1].abs().max().item() > 1e-3)
    #expect(try zip(before, task.tensors).allSatisfy { try $0.isEqual(to: $1.detached()) })
  }

  @Test @Compute func `numbers that are not finite end it, and what has nothing to train is refused`() throws {
    let backbone = try Tiny.vision()
    let task = try TaskWeights(of: backbone)
    let tuner = FineTuner(tuning: tuning(steps: 5), precision: .float32)
    #expect(try !tuner.tune(task.model, support: support(), labels: labels, ways: 3, rate: 1e30, seed: 1))
    let probe = try backbone.adapted(by: .linearProbe)
    #expect(throws: MetaTestError.nothingTrains(method: LinearProbe.method)) {
      _ = try tuner.tune(probe, support: support(), labels: labels, ways: 3, rate: 1, seed: 1)
    }
  }
}
