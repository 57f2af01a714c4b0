import Datasets
import NeuralNetworks
import Tensors
import Training

/// One task's training loss and its gradients.
///
///     p   = prototypes of the support set under θ
///     θ′  = θ − η_in ∇ CE(support; θ, stop p),  p′ = p − η_in ∇_p CE        where `innerRate` is set, of first order
///     L   = (1 − w) CE(query; θ′, p′) + w KD
///     KD  = T² KL(student, teacher)                                          mean over the queries
///     θ_t = k steps of θ′ − η_t ∇ CE(query; stop θ′, stop p′)                the teacher: all weights, and the prototypes
///
/// With `distillsPretrained`, half of KD is from the pretrained model's predictions. Chen et al. 2024, arXiv:2403.08477.
///
/// The teacher's first step takes its gradient from the student's own graph of the queries: no second pass forward.
@Compute
struct EpisodeLoss {
  /// What came of one task.
  struct Outcome {
    var loss: Double
    var crossEntropy: Double
    /// Not weighted; 0 without distillation.
    var distillation = 0.0
    /// Of the student on the queries.
    var accuracy: Double
    /// `∂L/∂θ`
    var gradients: [Tensor] = []
  }

  private let model: MetaModel
  /// The weights of the task at hand; between tasks, scratch for whoever needs a network.
  let task: TaskWeights
  private let inner: TaskWeights?
  private let teacher: TaskWeights?

  init(of model: MetaModel) throws {
    self.model = model
    let configuration = model.configuration
    task = try TaskWeights(of: model.backbone)
    inner = try configuration.innerRate.map { _ in try TaskWeights(of: model.backbone) }
    teacher = configuration.distillation > 0 ? try TaskWeights(of: model.backbone) : nil
  }

  /// The loss of a task whose experts are mixed by α. A loss that is not finite comes without gradients.
  func callAsFunction(_ episode: EpisodeBatch, mixing: [Double]) throws -> Outcome {
    let configuration = model.configuration
    try model.weights.merge(mixing, into: task)
    let support = try model.features(episode.support, by: task)
    var classifier = try Prototypes.means(of: support, labels: episode.supportLabels, ways: episode.ways)
    var student = task
    if let inner, let rate = configuration.innerRate {
      let step = try Self.crossEntropyGradients(support, classifier, episode.supportTargets)
      try inner.descend(from: task, by: support.gradients(task.tensors, gradient: step.features, retain: true), rate)
      classifier = try classifier - step.prototypes * rate
      student = inner
    }
    let query = try model.features(episode.query, by: student)
    let logits = try Prototypes.logits(query, classifier)
    let crossEntropy = try logits.crossEntropy(episode.queryTargets)
    var loss = crossEntropy
    var outcome = Outcome(
      loss: 0, crossEntropy: try crossEntropy.detached().item(),
      accuracy: try Self.accuracy(of: logits.detached(), episode.queryTargets))
    if let teacher, outcome.crossEntropy.isFinite {
      let target = try teach(teacher, student, query, classifier, episode)
      let distilled = try distillation(logits, from: target, episode)
      outcome.distillation = try distilled.detached().item()
      loss = try crossEntropy * (1 - configuration.distillation) + distilled * configuration.distillation
    }
    outcome.loss = try loss.detached().item()
    guard outcome.loss.isFinite else { return outcome }
    try loss.backward()
    outcome.gradients = try task.takeGradients()
    if let inner {
      // θ′ is θ minus a constant: the gradient at either is one of θ.
      for (gradient, more) in zip(outcome.gradients, try inner.takeGradients()) { try gradient.addInPlace(more) }
    }
    return outcome
  }

  private func distillation(_ logits: Tensor, from teacher: Tensor, _ episode: EpisodeBatch) throws -> Tensor {
    let configuration = model.configuration
    func divergence(_ target: Tensor) throws -> Tensor {
      try configuration.divergence(
        student: logits, target: target, temperature: configuration.distillationTemperature)
    }
    guard let frozenQuery = episode.frozenQuery, let frozenSupport = episode.frozenSupport else {
      return try divergence(teacher)
    }
    let prototypes = try Prototypes.means(of: frozenSupport, labels: episode.supportLabels, ways: episode.ways)
    return try (divergence(teacher) + divergence(Prototypes.logits(frozenQuery, prototypes))) * 0.5
  }

  /// The logits of a teacher that has seen the queries' labels.
  private func teach(
    _ teacher: TaskWeights, _ student: TaskWeights, _ query: Tensor, _ classifier: Tensor, _ episode: EpisodeBatch
  ) throws -> Tensor {
    let rate = model.configuration.teacherRate
    var step = try Self.crossEntropyGradients(query, classifier, episode.queryTargets)
    try teacher.descend(
      from: student, by: query.gradients(student.tensors, gradient: step.features, retain: true), rate)
    var prototypes = try classifier.detached() - step.prototypes * rate
    for _ in 1..<model.configuration.teacherSteps {
      let features = try model.features(episode.query, by: teacher)
      step = try Self.crossEntropyGradients(features, prototypes, episode.queryTargets)
      try teacher.descend(from: teacher, by: features.gradients(teacher.tensors, gradient: step.features), rate)
      prototypes = try prototypes - step.prototypes * rate
    }
    return try withoutGradients { try Prototypes.logits(model.features(episode.query, by: teacher), prototypes) }
  }

  /// The gradients of the mean cross-entropy with respect to features and prototypes, both held constant.
  private static func crossEntropyGradients(_ features: Tensor, _ prototypes: Tensor, _ targets: Tensor) throws
    -> (features: Tensor, prototypes: Tensor)
  {
    let features = try features.detached().requiringGradient()
    let prototypes = try prototypes.detached().requiringGradient()
    let loss = try Prototypes.logits(features, prototypes).crossEntropy(targets)
    let found = try loss.gradients([features, prototypes])
    return (try found[0] ?? features.zerosLike(), try found[1] ?? prototypes.zerosLike())
  }

  static func accuracy(of logits: Tensor, _ targets: Tensor) throws -> Double {
    Double(try logits.argmax(1).equals(targets).to(.int64).sum().integer()) / Double(max(1, targets.count))
  }
}

extension TaskWeights {
  /// `θ ← source − rate · gradient`; nil where the loss does not depend on a tensor.
  fileprivate func descend(from source: TaskWeights, by gradients: [Tensor?], _ rate: Double) throws {
    try withoutGradients {
      for (index, gradient) in gradients.enumerated() {
        if source !== self { try tensors[index].copyInPlace(source.tensors[index]) }
        if let gradient { try tensors[index].addInPlace(gradient, scale: -rate) }
      }
    }
  }
}

/// An episode's inputs and labels, on the device.
struct EpisodeBatch {
  let ways: Int
  let support: Tensor
  let supportLabels: [Int]
  let supportTargets: Tensor
  var query: Tensor
  let queryTargets: Tensor
  /// Features of the frozen backbone, where they are asked for.
  var frozenSupport: Tensor?
  var frozenQuery: Tensor?

  /// - Parameter batch: support examples first, as `EpisodePlan` has them.
  init(_ episode: Episode, _ batch: Batch, device: Device) throws {
    let (shots, count) = (episode.supportLabels.count, episode.supportLabels.count + episode.queryLabels.count)
    guard batch.count == count else {
      throw MetaTrainingError.incomplete(episode: batch.step, examples: batch.count, expected: count)
    }
    func targets(_ labels: [Int]) throws -> Tensor { try Tensor(labels.map(Int64.init)).to(device) }
    let inputs = try batch.inputs.to(device)
    ways = episode.ways
    support = try inputs.narrowed(0, 0..<shots)
    supportLabels = episode.supportLabels
    supportTargets = try targets(supportLabels)
    query = try inputs.narrowed(0, shots..<count)
    queryTargets = try targets(episode.queryLabels)
  }
}
