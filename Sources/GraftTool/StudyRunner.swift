import Datasets
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Studies
import Tensors
import Tokenizers
import Training

/// `graft study`: the pieces of work that are missing, then tables and drawings of everything recorded.
struct StudyRunner {
  let settings: StudySettings
  let console: Console

  func run(reportOnly: Bool) async throws {
    guard let folder = settings.output else { throw ConfigurationError.missing("output", flag: "--output") }
    let output = try OutputFolder(shared: folder, settings: settings.resolved())
    let study = try study(output: output.folder("runs"))
    let report = try await reportOnly ? study.report() : console.follow(study)
    let results = output.folder("results")
    try report.write(to: results)
    console.result(report.markdown)
    try console.json(report.json.text(.readable))
    console.note("tables and drawings in \(results.path)")
    guard report.failures.isEmpty else { throw StudyRunsFailed(report.failures) }
  }

  private func study(output: URL) throws -> DomainMixtureStudy {
    let backbone = try settings.backbone.loadForTexts("graft study")
    let tokenizer = try Tokenizer(from: settings.backbone.folder)
    let domains = try domains(for: backbone, tokenizer)
    let length = settings.maximumLength
    return try DomainMixtureStudy(
      of: domains, backbone: backbone,
      kinds: settings.kinds.map { StudyKind($0.method.row, space: $0.space) }, configuration: settings.study,
      attacks: attacks(unknown: tokenizer.unknownToken),
      encode: { texts in
        let encodings = try texts.map { try tokenizer.encode($0, maximumLength: length) }
        return try backbone.input(
          encodings.map { $0.ids.map(Int.init) }, types: encodings.map { $0.types.map(Int.init) })
      }, output: output)
  }

  private func domains(for backbone: TextTransformer, _ tokenizer: Tokenizer) throws -> [StudyDomain] {
    var options = settings.columns
    options.domains = settings.domains
    let root = settings.data.resolvingSymlinksInPath()
    return try TextFolder.tasks(at: root, options: options).map { folder in
      for bad in folder.badLines.prefix(5) { console.warn("left out: \(bad)") }
      let examples = try TextExamples(
        folder, tokenizer: tokenizer, for: backbone, maximumLength: settings.maximumLength)
      return try StudyDomain(folder.domains[0], examples, folder.split(ofDomain: 0, settings.split))
    }
  }

  /// - Parameter unknown: the tokenizer's token for a word that it does not know.
  private func attacks(unknown: String?) throws -> [any TextAttack] {
    guard let attacks = settings.attacks else { return [] }
    let wordNet = try attacks.wordNet.map { try WordNet(from: $0) }
    return attacks.methods.compactMap { name in
      switch name {
      case "deepwordbug":
        var attack = DeepWordBug(edits: attacks.edits)
        attack.unknown = unknown
        return attack
      default:
        return wordNet.map { wordNet in
          var attack = PWWS(wordNet, synonymsTried: attacks.synonyms)
          attack.unknown = unknown
          return attack
        }
      }
    }
  }

  // MARK: Dry run

  /// What would be done, and how long it takes by two steps and a test pass of each kind.
  func estimate() async throws {
    let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("graft-study-\(UUID().uuidString)")
    let study = try study(output: scratch)
    let estimate = try await StudyEstimate(of: study)
    var domains = TextTable(header: ["Domain", "classes", "training", "test", "tokens a test text"])
    for domain in study.domains {
      let lengths = domain.examples.lengths ?? []
      let mean = domain.test.reduce(0) { $0 + (lengths.indices.contains($1) ? lengths[$1] : 0) } / domain.test.count
      domains.rows.append([
        domain.name, "\(domain.examples.classes.count)", Quantity.count(domain.training.count),
        Quantity.count(domain.test.count), "\(mean)",
      ])
    }
    var kinds = TextTable(
      header: ["Kind", "trainable", "mixed", "s/step", "ms/text tested", "training", "mixtures", "pruning", "attacks"])
    for cost in estimate.kinds {
      kinds.rows.append([
        cost.name, Quantity.count(cost.parameters), cost.space.rawValue, Quantity.fixed(cost.secondsPerStep, 3),
        Quantity.fixed(1_000 * cost.secondsPerText, 2), Quantity.duration(cost.training),
        Quantity.duration(cost.mixtures), Quantity.duration(cost.pruning), Quantity.duration(cost.attacks),
      ])
    }
    console.result(
      """
      Data: \(settings.data.path)
      \(domains.text)
      \(kinds.text)
      \(study.runs.count) pieces of work: \(study.domains.count) domains, \(study.kinds.count) kinds, \
      \(settings.study.seeds.count) seeds, \(estimate.sets) mixtures of each kind and seed
      time: about \(Quantity.duration(estimate.seconds)) in one process
      """)
    try console.json(
      JSONValue.object([
        "runs": .integer(study.runs.count), "mixtures": .integer(estimate.sets), "seconds": .double(estimate.seconds),
      ]).text(.readable))
  }
}
