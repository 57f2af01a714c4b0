import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

/// The whole loss of an episode on a tiny vision transformer in float64.
@Suite struct EpisodeLossTests {
  @Compute
  private func model(
    _ method: MetaMethod = .smat, preset: MetaPreset = .recommended,
    _ change: (inout MetaConfiguration) -> Void = { _ in }
  ) throws -> MetaModel {
    let model = try MetaModel(
      of: DoublePrecision(Tiny.vision()), configuration: Tiny.configuration(method, preset: preset, change))
    try MetaModelTests.stir(model)
    return model
  }

  @Compute
  private func episode(_ model: MetaModel) throws -> EpisodeBatch {
    var episode = try Tiny.episode(of: Tiny.images(), dtype: .float64)
    episode.frozenSupport = try model.frozenFeatures(episode.support)
    if model.configuration.distillsPretrained { episode.frozenQuery = try model.frozenFeatures(episode.query) }
    return episode
  }

  /// The loss from the experts, the mixing of them and all of the hypernetwork down.
  @Compute
  private func whole(_ model: MetaModel, _ loss: EpisodeLoss, _ episode: EpisodeBatch) throws
    -> (value: Double, route: TaskRoute, outcome: EpisodeLoss.Outcome)
  {
    let frozen = try #require(episode.frozenSupport)
    let prototypes = try Prototypes.means(of: frozen, labels: episode.supportLabels, ways: 4)
    let route = try #require(model.hypernetwork).mixing(
      prototypes: prototypes, temperature: 0.8, noise: Tensor([0.3, -0.2, 0.5]))
    let outcome = try loss(episode, mixing: route.mixing.detached().doubles())
    let penalty = try route.logits.detached().squared().mean().item() * 0.1
    return (
      outcome.loss + penalty, TaskRoute(mixing: route.mixing, logits: route.logits), outcome
    )
  }

  /// Central differences of `value` by one element of a tensor.
  @Compute
  private func difference(_ tensor: Tensor, _ index: Int, _ value: () throws -> Double) throws -> Double {
    let h = 1e-5
    let flat = try tensor.detached().reshaped(-1)
    func shift(_ amount: Double) throws {
      try withoutGradients { try flat.select(0, index).addInPlace(Tensor(amount)) }
    }
    try shift(h)
    let above = try value()
    try shift(-2 * h)
    let below = try value()
    try shift(h)
    return (above - below) / (2 * h)
  }

  @Compute
  @Test func `finite differences agree in offsets, masks, mixing weights and the hypernetwork`() throws {
    let model = try model { $0.distillation = 0 }
    let experts = try #require(model.weights as? SparseExperts)
    let hypernetwork = try #require(model.hypernetwork)
    let (loss, episode) = (try EpisodeLoss(of: model), try episode(model))
    func value() throws -> Double { try whole(model, loss, episode).value }
    func expectClose(_ found: Double, _ expected: Double, _ what: String) {
      #expect(abs(found - expected) < 1e-5 * max(abs(expected), 1e-2), "\(what): \(found), \(expected)")
    }

    let (_, route, outcome) = try whole(model, loss, episode)
    let mixing = try route.mixing.detached().doubles()
    let toMixing = try model.weights.backward([TaskGradient(mixing: mixing, gradients: outcome.gradients)])[0]
    try route.loss(toMixing: toMixing, logitPenalty: 0.1).backward()
    var compared = 0
    for parameter in hypernetwork.parameters {
      let gradient = try #require(try parameter.value.gradient()).doubles()
      for index in stride(from: 0, to: parameter.count, by: max(1, parameter.count / 3)) {
        expectClose(gradient[index], try difference(parameter.value, index, value), parameter.name)
        compared += 1
      }
    }
    #expect(compared > 30)
    for expert in mixing.indices {
      var (above, below) = (mixing, mixing)
      above[expert] += 1e-5
      below[expert] -= 1e-5
      let found = try (loss(episode, mixing: above).loss - loss(episode, mixing: below).loss) / 2e-5
      expectClose(toMixing[expert], found, "α \(expert)")
    }
    var (inside, outside) = (0, 0)
    let constraint = [0.01, 0.02, 0.03]
    for (place, offset) in experts.offsets.enumerated() {
      let logits = try #require(offset.logits)
      let (toOffset, toLogits) = (try offset.offset.zerosLike(), try logits.zerosLike())
      _ = try offset.backward(
        .init(gradients: [outcome.gradients[place]], mixing: [mixing], constraint: constraint),
        offsetGradient: toOffset, logitsGradient: toLogits)
      let index = (37 * place + 5) % offset.offset.count
      expectClose(try toOffset.doubles()[index], try difference(offset.offset, index, value), "δ \(place)")
      let found = try toLogits.doubles()
      for (gate, logit) in try logits.doubles().enumerated() {
        let open = HardConcrete.openProbability(logit)
        let pull = constraint[gate * 3 / logits.count] * open * (1 - open)
        if abs(logit) > 1.7 {
          // No task gradient passes a closed gate, nor one that is all open.
          #expect(abs(found[gate] - pull) < 1e-15)
          outside += 1
        } else if abs(logit) < 1.4, (gate + place) % 401 == 0 {
          expectClose(found[gate], try difference(logits, gate, value) + pull, "a \(place)")
          inside += 1
        }
      }
    }
    #expect(inside >= 20 && outside > 0)
  }

  /// What the loss should be, by automatic differentiation of everything at once on copies of the task's weights.
  @Compute
  private func reference(_ model: MetaModel, _ episode: EpisodeBatch, _ mixing: [Double]) throws
    -> EpisodeLoss.Outcome
  {
    let configuration = model.configuration
    let task = try TaskWeights(of: model.backbone)
    let moved = try TaskWeights(of: model.backbone)
    let teacher = try TaskWeights(of: model.backbone)
    try model.weights.merge(mixing, into: task)
    func descend(_ from: TaskWeights, _ to: TaskWeights, _ gradients: [Tensor?], _ rate: Double) throws {
      for (index, gradient) in gradients.enumerated() {
        let value = try withoutGradients {
          try gradient.map { try from.tensors[index] - $0 * rate } ?? from.tensors[index].clone()
        }
        try withoutGradients { try to.tensors[index].copyInPlace(value) }
      }
    }
    func crossEntropy(_ features: Tensor, _ head: Tensor, _ targets: Tensor) throws -> Tensor {
      try Prototypes.logits(features, head).crossEntropy(targets)
    }
    var head = try Prototypes.means(of: task.features(episode.support), labels: episode.supportLabels, ways: 4)
    var student = task
    if let rate = configuration.innerRate {
      let leaf = try head.detached().requiringGradient()
      let inner = try crossEntropy(task.features(episode.support), leaf, episode.supportTargets)
      let gradients = try inner.gradients(task.tensors + [leaf])
      try descend(task, moved, Array(gradients.dropLast()), rate)
      head = try head - (#require(gradients.last ?? nil)) * rate
      student = moved
    }
    var leaf = try head.detached().requiringGradient()
    try descend(student, teacher, [Tensor?](repeating: nil, count: student.tensors.count), 0)
    for _ in 0..<configuration.teacherSteps {
      let gradients = try crossEntropy(teacher.features(episode.query), leaf, episode.queryTargets)
        .gradients(teacher.tensors + [leaf])
      try descend(teacher, teacher, Array(gradients.dropLast()), configuration.teacherRate)
      leaf = try (leaf - #require(gradients.last ?? nil) * configuration.teacherRate).detached().requiringGradient()
    }
    let target = try withoutGradients { try Prototypes.logits(teacher.features(episode.query), leaf) }
    let logits = try Prototypes.logits(student.features(episode.query), head)
    var distilled = try configuration.divergence(
      student: logits, target: target, temperature: configuration.distillationTemperature)
    if configuration.distillsPretrained {
      let pretrained = try Prototypes.logits(
        model.frozenFeatures(episode.query),
        Prototypes.means(
          of: model.frozenFeatures(episode.support), labels: episode.supportLabels, ways: 4))
      distilled =
        try
        (distilled
        + configuration.divergence(
          student: logits, target: pretrained, temperature: configuration.distillationTemperature)) * 0.5
    }
    let weight = configuration.distillation
    let queries = try crossEntropy(student.features(episode.query), head, episode.queryTargets)
    let loss = try queries * (1 - weight) + distilled * weight
    try loss.backward()
    var gradients = try task.takeGradients()
    if student !== task { gradients = try zip(gradients, moved.takeGradients()).map { try $0 + $1 } }
    return EpisodeLoss.Outcome(
      loss: try loss.detached().item(), crossEntropy: try queries.detached().item(),
      distillation: try distilled.detached().item(), accuracy: 0, gradients: gradients)
  }

  @Compute
  @Test(arguments: [
    (MetaPreset.recommended, 1), (.recommended, 3), (.paper, 2), (.officialCode, 1), (.officialCode, 2),
  ])
  func `teacher, pretrained model and support step are those of the formulas`(_ preset: MetaPreset, _ steps: Int) throws
  {
    let model = try model(preset: preset) {
      $0.teacherSteps = steps
      // Large enough to matter.
      if $0.innerRate != nil { $0.innerRate = 0.05 }
    }
    let episode = try episode(model)
    let mixing = [0.5, 0.2, 0.3]
    let loss = try EpisodeLoss(of: model)
    // Twice: nothing of one task stays for the next.
    for _ in 0..<2 {
      let found = try loss(episode, mixing: mixing)
      let expected = try reference(model, episode, mixing)
      #expect(abs(found.loss - expected.loss) < 1e-10)
      #expect(abs(found.crossEntropy - expected.crossEntropy) < 1e-10)
      #expect(abs(found.distillation - expected.distillation) < 1e-10 && found.distillation > 1e-3)
      for (own, other) in zip(found.gradients, expected.gradients) {
        #expect(try own.isClose(to: other, tolerance: 1e-10))
      }
      #expect(try found.gradients.map { try $0.abs().max().item() }.max() ?? 0 > 1e-3)
    }
  }

  @Compute
  @Test func `distillation goes with dense meta-tuning too`() throws {
    let model = try model(.pmf) { $0.distillation = 0.25 }
    let episode = try episode(model)
    let found = try EpisodeLoss(of: model)(episode, mixing: [])
    let expected = try reference(model, episode, [])
    #expect(abs(found.loss - expected.loss) < 1e-10 && found.distillation > 1e-3)
    for (own, other) in zip(found.gradients, expected.gradients) {
      #expect(try own.isClose(to: other, tolerance: 1e-10))
    }
  }

  @Compute
  @Test func `a loss that is not finite comes without gradients`() throws {
    let model = try model()
    var episode = try episode(model)
    episode = try EpisodeBatch(replacingQueryOf: episode, with: episode.query * Double.infinity)
    let outcome = try EpisodeLoss(of: model)(episode, mixing: [1, 0, 0])
    #expect(!outcome.loss.isFinite && outcome.gradients.isEmpty)
  }
}

extension EpisodeBatch {
  fileprivate init(replacingQueryOf episode: EpisodeBatch, with query: Tensor) throws {
    self = episode
    self.query = query
  }
}
