import Adapters
import Mixing
import Tensors
import Training

/// How long a study takes, by two steps and one test pass of each kind of adapter.
public struct StudyEstimate: Sendable {
  public struct Kind: Sendable {
    public let name: String
    public let parameters: Int
    public let space: MixingSpace
    public let secondsPerStep: Double
    /// Of one test text in one forward pass.
    public let secondsPerText: Double
    /// Seconds for all seeds.
    public let training: Double
    public let mixtures: Double
    public let pruning: Double
    /// At most: where every attack uses up its queries.
    public let attacks: Double
  }

  public let kinds: [Kind]
  /// Mixtures of each kind and seed.
  public let sets: Int
  /// In one process.
  public let seconds: Double

  public init(of study: DomainMixtureStudy) async throws {
    let configuration = study.configuration
    let tests = try await TestBatches(of: study.domains, size: configuration.batch)
    let sets = configuration.sets.sets(of: study.domains.count)
    let texts = study.domains.map { Double($0.test.count) }
    let mean = texts.reduce(0, +) / Double(texts.count)
    let seeds = Double(configuration.seeds.count)
    var kinds: [Kind] = []
    for kind in study.kinds {
      var recipe = configuration.recipe(of: kind, seed: configuration.seeds[0])
      recipe.steps = 3
      recipe.evaluationInterval = 3
      let domain = study.domains[study.domains.count / 2]
      let model = try kind.method.model(
        on: study.backbone, classes: domain.examples.classes, seed: configuration.seeds[0])
      let fold = Fold(
        target: nil, parts: [.init(in: domain.training, out: Array(domain.test.prefix(1)))], selectsStep: false)
      var steps: [Double] = []
      for try await event in try Training(of: model, on: domain.examples, fold: fold, configuration: recipe) {
        if case .step(let report) = event { steps.append(Double(recipe.batchPerDomain) / report.imagesPerSecond) }
      }
      let perStep = steps.dropFirst().reduce(0, +) / Double(max(1, steps.count - 1))
      let models = try study.domains.map { domain in
        try kind.method.model(on: study.backbone, classes: domain.examples.classes, seed: configuration.seeds[0])
      }
      let evaluator = MixtureEvaluator(
        backbone: study.backbone, members: try StudyMembers(models, kind: kind), tests: tests,
        precision: configuration.precision)
      let seconds = try await Compute.run { try evaluator.timed(study.domains.count) }
      let perText = seconds / texts.reduce(0, +)

      let evaluations = sets.reduce(0.0) { sum, set in sum + set.members.reduce(0) { $0 + texts[$1] } }
      var pruned = 0.0
      if let pruning = configuration.pruning {
        let count = study.domains.count
        let orders = 2 * pruning.criteria.count - pruning.criteria.count { $0.comparesAdapters }
        let measured = pruning.criteria.count * count + orders * (count + pruning.sizes.reduce(0, +))
        pruned = Double(pruning.densities.count * measured) * mean
      }
      var attacked = 0.0
      if let robustness = configuration.robustness {
        attacked =
          Double(robustness.sizes.count * study.domains.count * robustness.examples * study.attacks.count)
          * Double(robustness.queries)
      }
      kinds.append(
        Kind(
          name: kind.name, parameters: study.parameters[kind.name] ?? 0, space: kind.space, secondsPerStep: perStep,
          secondsPerText: perText,
          training: seeds * Double(study.domains.count) * Double(configuration.recipe.steps) * perStep,
          mixtures: seeds * evaluations * perText, pruning: seeds * pruned * perText,
          attacks: seeds * attacked * perText))
    }
    self.kinds = kinds
    self.sets = sets.count
    seconds = kinds.reduce(0) { $0 + $1.training + $1.mixtures + $1.pruning + $1.attacks }
  }
}

extension MixtureEvaluator {
  /// Seconds of one pass over all test texts, after one to warm up.
  fileprivate func timed(_ domains: Int) throws -> Double {
    _ = try correct(members.vectors[0], on: [0])
    let start = ContinuousClock.now
    _ = try correct(members.vectors[0], on: Array(0..<domains))
    return (ContinuousClock.now - start) / .seconds(1)
  }
}
