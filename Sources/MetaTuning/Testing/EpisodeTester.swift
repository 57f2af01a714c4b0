import Adapters
import Datasets
import NeuralNetworks
import Tensors
import Training

/// What `MetaTest` does in one episode.
@Compute
final class EpisodeTester {
  /// What came out of one episode.
  struct Outcome {
    var accuracy: Double
    /// α
    var mixing: [Double]
    /// nil without fine-tuning.
    var rate: Double?
    /// Whether fine-tuning ended in numbers that are not finite; then no query counts as right.
    var diverged = false
    /// Whether a rate was wanted of a support set that has nothing to hold out.
    var unsearched = false
  }

  /// Labelled inputs that a task is adapted to or asked about.
  struct Labelled {
    var inputs: Tensor
    var labels: [Int]
    /// Under the frozen backbone.
    var frozen: Tensor

    func selecting(_ places: [Int]) throws -> Labelled {
      let index = try Tensor(places.map(Int64.init)).to(inputs.device)
      return Labelled(
        inputs: try inputs.selected(0, index), labels: places.map { labels[$0] },
        frozen: try frozen.selected(0, index.to(frozen.device)))
    }
  }

  private let subject: MetaTestSubject
  private let mode: TestMode
  private let test: MetaTest
  private let frozen: FrozenFeatures
  private let task: TaskWeights?

  init(_ subject: MetaTestSubject, _ mode: TestMode, _ test: MetaTest, _ frozen: FrozenFeatures) throws {
    guard subject.backbone.fingerprint == frozen.backbone.fingerprint else {
      throw MetaTestError.otherBackbone(
        expected: frozen.backbone.fingerprint, found: subject.backbone.fingerprint)
    }
    try mode.fineTuning?.validate()
    self.subject = subject
    self.mode = mode
    self.test = test
    self.frozen = frozen
    // The floor reads the frozen features alone.
    task = subject.model == nil && mode.fineTuning == nil ? nil : try TaskWeights(of: subject.backbone)
  }

  var candidates: [Double] { mode.fineTuning?.candidates ?? [] }

  func result(_ datasets: [MetaTestResult.Dataset]) throws -> MetaTestResult {
    let factor = mode.fineTuning?.searchFactor
    return MetaTestResult(
      name: subject.name, mode: mode.name, rates: mode.fineTuning?.rates.name, rateFactor: factor,
      tuning: try mode.tuning, candidates: factor == nil ? [] : candidates, isMetaTuned: subject.model != nil,
      scale: subject.scale, settings: test.settings, episodes: test.episodes, seed: test.seed, digest: test.digest,
      datasets: datasets)
  }

  // MARK: One episode

  func measure(_ batch: Batch, _ episode: Episode, rate: Double?) throws -> Outcome {
    let (support, query) = try parts(of: batch, episode)
    let seed = tuningSeed(batch.step)
    switch mode.fineTuning?.rates {
    case nil: return try outcome(support, query, episode.ways, rate: nil, seed: seed)
    case .fixed(let rate): return try outcome(support, query, episode.ways, rate: rate, seed: seed)
    case .otherClasses, .official:
      return try outcome(support, query, episode.ways, rate: rate ?? 0, seed: seed)
    case .supportFolds(_, let folds):
      let found = try rateByFolds(of: support, ways: episode.ways, folds: folds, seed: seed)
      var outcome = try outcome(support, query, episode.ways, rate: found ?? 0, seed: seed)
      outcome.unsearched = found == nil
      return outcome
    }
  }

  /// The accuracy of each candidate rate on an episode whose query labels are used.
  func accuracies(of batch: Batch, _ episode: Episode, number: Int) throws -> [Double] {
    let (support, query) = try parts(of: batch, episode)
    return try candidates.map { rate in
      try Task.checkCancellation()
      return try outcome(support, query, episode.ways, rate: rate, seed: tuningSeed(number)).accuracy
    }
  }

  private func tuningSeed(_ number: Int) -> UInt64 {
    var generator = Xoshiro256(seed: test.seed, stream: RandomStream.tuning, UInt64(truncatingIfNeeded: number))
    return generator.next()
  }

  private func parts(of batch: Batch, _ episode: Episode) throws -> (support: Labelled, query: Labelled) {
    let (support, query) = (episode.supportLabels, episode.queryLabels)
    guard batch.count == support.count + query.count else {
      throw MetaTestError.lengths(inputs: batch.count, expected: support.count + query.count)
    }
    let inputs = try batch.inputs.to(subject.backbone.device)
    let rows = (0..<support.count, support.count..<batch.count)
    // Queries are asked of the frozen backbone by the floor alone.
    let none = try Tensor.zeros([query.count, 0])
    return (
      Labelled(
        inputs: try inputs.narrowed(0, rows.0), labels: support, frozen: try frozen.features(of: batch, rows: rows.0)),
      Labelled(
        inputs: try inputs.narrowed(0, rows.1), labels: query,
        frozen: task == nil ? try frozen.features(of: batch, rows: rows.1) : none)
    )
  }

  private func outcome(_ support: Labelled, _ query: Labelled, _ ways: Int, rate: Double?, seed: UInt64) throws
    -> Outcome
  {
    guard let task else {
      let accuracy = try accuracy(support, query, ways, by: \.frozen)
      return Outcome(accuracy: accuracy, mixing: [])
    }
    let mixing = try adapt(task, to: support, ways)
    let network = try tunedNetwork(task, seed: seed)
    if let rate, let tuning = mode.fineTuning {
      let tuner = FineTuner(tuning: tuning, precision: test.precision)
      let went = try withGradients {
        try tuner.tune(
          network, support: support.inputs, labels: support.labels, ways: ways, rate: rate, seed: seed)
      }
      guard went else { return Outcome(accuracy: 0, mixing: mixing, rate: rate, diverged: true) }
    }
    let accuracy = try accuracy(support, query, ways) { try self.features($0.inputs, by: network) }
    return Outcome(accuracy: accuracy, mixing: mixing, rate: rate)
  }

  private func adapt(_ task: TaskWeights, to support: Labelled, _ ways: Int) throws -> [Double] {
    if let model = subject.model {
      // Within this call alone, which nothing interrupts: another row may be of the same model.
      let before = model.weights.scale
      model.weights.scale = subject.scale
      defer { model.weights.scale = before }
      return try model.adapt(
        support: support.inputs, labels: support.labels, ways: ways, frozenFeatures: support.frozen, into: task)
    }
    try withoutGradients {
      for (own, original) in zip(task.tensors, subject.backbone.tensors) { try own.copyInPlace(original.tensor) }
    }
    return []
  }

  /// The network whose parameters fine-tuning trains: the task's own weights, or a fresh adapter over them.
  private func tunedNetwork(_ task: TaskWeights, seed: UInt64) throws -> AdaptedModel {
    guard case .adapter(let method, _) = mode else { return task.model }
    return try ReweightedBackbone(subject.backbone, with: task.tensors)
      .adapted(by: method.adapter, at: method.targets, blocks: method.blocks, seed: seed)
  }

  private func features(_ inputs: Tensor, by network: AdaptedModel) throws -> Tensor {
    let count = inputs.shape[0]
    let parts = try stride(from: 0, to: count, by: max(1, test.batchSize)).map { start in
      let part = try inputs.narrowed(0, start..<min(start + max(1, test.batchSize), count))
      return try subject.backbone.features(part, precision: test.precision) { try network.features($0) }
    }
    return parts.count == 1 ? parts[0] : try .concatenated(parts)
  }

  private func accuracy(
    _ support: Labelled, _ query: Labelled, _ ways: Int, by features: (Labelled) throws -> Tensor
  ) throws -> Double {
    try withoutGradients {
      let prototypes = try Prototypes.means(of: features(support), labels: support.labels, ways: ways)
      let found = try Prototypes.logits(features(query), prototypes).argmax(-1).integers()
      return Double(zip(found, query.labels).count { $0 == $1 }) / Double(query.labels.count)
    }
  }

  // MARK: The learning rate

  /// The rate by which the network, adapted and tuned without a fold of the support, names the classes of the fold best; nil
  /// where no class has an example to spare.
  private func rateByFolds(of support: Labelled, ways: Int, folds: Int, seed: UInt64) throws -> Double? {
    let parts = Self.folds(of: support.labels, ways: ways, count: folds, seed: seed)
    guard !parts.isEmpty else { return nil }
    var choice = RateChoice(candidates)
    for held in parts {
      let (rest, fold) = (
        try support.selecting(support.labels.indices.filter { !held.contains($0) }), try support.selecting(held)
      )
      let weight = Double(held.count)
      choice.add(
        try candidates.map { rate in
          try Task.checkCancellation()
          return try weight * outcome(rest, fold, ways, rate: rate, seed: seed).accuracy
        })
    }
    return choice.best
  }

  /// Which examples each fold holds out: of every class about as many, and never all of one.
  nonisolated static func folds(of labels: [Int], ways: Int, count: Int, seed: UInt64) -> [[Int]] {
    var folds = [[Int]](repeating: [], count: count)
    var next = 0
    for label in 0..<ways {
      var own = labels.indices.filter { labels[$0] == label }
      guard own.count > 1 else { continue }
      var generator = Xoshiro256(seed: seed, stream: RandomStream.folds, UInt64(label))
      generator.shuffle(&own)
      // Classes begin at different folds, so that few shots fill all of them.
      for example in own {
        folds[next % count].append(example)
        next += 1
      }
    }
    return folds.filter { !$0.isEmpty }.map { $0.sorted() }
  }
}

/// Accuracies of candidate rates, added up.
struct RateChoice {
  private let candidates: [Double]
  private var sums: [Double]

  /// - Parameter candidates: ascending.
  init(_ candidates: [Double]) {
    self.candidates = candidates
    sums = candidates.map { _ in 0 }
  }

  mutating func add(_ accuracies: [Double]) {
    for (index, accuracy) in accuracies.enumerated() { sums[index] += accuracy }
  }

  /// Of equal ones the smallest.
  var best: Double { zip(sums, candidates).max { ($0.0, -$0.1) < ($1.0, -$1.1) }?.1 ?? 0 }
}
