import Formats
import Mixing
import NeuralNetworks
import Training

/// Everything that a study does, and what decides the numbers of each piece.
struct StudyPlan {
  private(set) var runs: [StudyRun] = []

  private let domains: [StudyDomain]
  private let backbone: any Backbone
  private let configuration: StudyConfiguration
  private let attacks: [any TextAttack]

  /// Seed by seed, so that what is there after an early end is whole for some of them.
  init(
    _ domains: [StudyDomain], _ backbone: any Backbone, _ kinds: [StudyKind], _ configuration: StudyConfiguration,
    _ attacks: [any TextAttack]
  ) throws {
    self.domains = domains
    self.backbone = backbone
    self.configuration = configuration
    self.attacks = attacks
    runs.append(
      try StudyRun(
        .similarity, kind: "", seed: 0,
        others: [
          "examples": .array(domains.map { .string($0.fingerprint) }),
          "backbone": .string(backbone.fingerprint), "count": .integer(configuration.similarityExamples),
        ]))
    for seed in configuration.seeds {
      for kind in kinds { try addCell(kind, seed) }
    }
  }

  private mutating func addCell(_ kind: StudyKind, _ seed: UInt64) throws {
    let trained = try domains.indices.map { try training(kind, seed, domain: $0) }
    runs += trained
    let common: JSONObject = [
      "members": .array(trained.map { .string($0.folderName) }), "space": .string(kind.space.rawValue),
      "precision": .string(configuration.precision.rawValue), "batch": .integer(configuration.batch),
    ]
    let count = configuration.sets.sets(of: domains.count).count
    for part in 0..<(count + DomainMixtureStudy.setsInPart - 1) / DomainMixtureStudy.setsInPart {
      var others = common
      others["sets"] = .string("\(configuration.sets)")
      runs.append(try StudyRun(.mixtures, kind: kind.name, seed: seed, part: part, others: others))
    }
    if configuration.sets != .all {
      var others = common
      others["sets"] = .string("\(configuration.sets)")
      others["random_orders"] = .integer(configuration.randomOrders)
      others["similarity_examples"] = .integer(configuration.similarityExamples)
      runs.append(try StudyRun(.orders, kind: kind.name, seed: seed, others: others))
    }
    if let pruning = configuration.pruning {
      var others = common
      others["densities"] = .array(pruning.densities.map(JSONValue.double))
      others["sizes"] = .array(pruning.sizes.map(JSONValue.integer))
      others["criteria"] = .array(pruning.criteria.map { .string($0.rawValue) })
      // What earlier versions recorded had one random mask for all members.
      others["random"] = "by adapter"
      runs.append(try StudyRun(.pruning, kind: kind.name, seed: seed, others: others))
    }
    if let robustness = configuration.robustness {
      var others = common
      others["sizes"] = .array(robustness.sizes.map(JSONValue.integer))
      others["examples"] = .integer(robustness.examples)
      others["queries"] = .integer(robustness.queries)
      others["attacks"] = .array(attacks.map { .string($0.fingerprint) })
      runs.append(try StudyRun(.robustness, kind: kind.name, seed: seed, others: others))
    }
  }

  private func training(_ kind: StudyKind, _ seed: UInt64, domain index: Int) throws -> StudyRun {
    let domain = domains[index]
    let own = configuration.recipe(of: kind, seed: seed)
    var settings = try kind.method.runSettings(with: own)
    settings["backbone"] = .string(backbone.fingerprint)
    settings["examples"] = .string(domain.fingerprint)
    return try StudyRun(
      .training, kind: kind.name, seed: seed, domain: index, domainName: domain.name,
      others: [
        "hparams": .string(try JSONValue.object(settings).text(.python)), "steps": .integer(own.steps),
      ])
  }
}
