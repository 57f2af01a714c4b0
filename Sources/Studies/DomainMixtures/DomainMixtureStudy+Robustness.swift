import Adapters
import Datasets
import Foundation
import Mixing
import Reports
import Tensors
import Training

extension DomainMixtureStudy {
  /// The mixtures that are attacked, with the domain whose examples are changed: of each size, for each domain, one
  /// drawn that holds it, the same for every kind of adapter.
  func attackedSets(_ robustness: StudyConfiguration.Robustness, seed: UInt64) -> [(target: Int, set: MixtureSet)] {
    robustness.sizes.flatMap { size in
      domains.indices.map { target in
        var generator = Xoshiro256(seed: seed, stream: 0x6174_7461, UInt64(size), UInt64(target))
        var others = domains.indices.filter { $0 != target }
        generator.shuffle(&others)
        return (target, MixtureSet([target] + others.prefix(size - 1)))
      }
    }
  }

  /// Each attack on the test examples that a mixture gets right, built against that mixture.
  @Compute
  func measureRobustness(_ run: StudyRun, _ tests: TestBatches, _ progress: (Int, Int) -> Void) throws {
    guard let robustness = configuration.robustness, let encode else { return try folder(of: run).markDone() }
    let members = try members(of: run)
    let evaluator = MixtureEvaluator(
      backbone: backbone, members: members, tests: tests, precision: configuration.precision)
    let sets = attackedSets(robustness, seed: run.seed)
    let file = RecordFile<AttackRecord>(in: folder(of: run).url)
    var records = try file.read(testCounts)
    let known = Set(records.map { Key(attack: $0.attack, set: MixtureSet($0.members), domain: $0.domain) })
    for (target, set) in sets {
      let missing = attacks.filter { !known.contains(Key(attack: $0.name, set: set, domain: target)) }
      guard !missing.isEmpty else { continue }
      try SparseMean.all(set.members.map { members.vectors[$0] }).load(into: members.carrier)
      let model = evaluator.model(for: target)
      let classifier: AttackedClassifier = { texts in
        try Task.checkCancellation()
        let probabilities = try evaluator.logits(of: model, encode(texts)).softmax()
        let classes = model.head?.classes.count ?? 0
        let numbers = try probabilities.doubles()
        return texts.indices.map { Array(numbers[$0 * classes..<($0 + 1) * classes]) }
      }
      for attack in missing {
        let record = try attacked(domains[target], by: attack, classifier, robustness)
        records.append(record.of(set, target))
        try file.write(records)
        progress(records.count, sets.count * attacks.count)
      }
    }
    try folder(of: run).markDone()
  }

  private struct Key: Hashable {
    var attack: String
    var set: MixtureSet
    var domain: Int
  }

  private func attacked(
    _ domain: StudyDomain, by attack: any TextAttack, _ classifier: AttackedClassifier,
    _ robustness: StudyConfiguration.Robustness
  ) throws -> AttackRecord {
    let chosen = StudyDomain.draw(
      robustness.examples, of: domain.test, labels: domain.examples.labels, seed: 0)
    var record = AttackRecord(
      attack: attack.name, members: [], domain: 0, examples: chosen.count, correct: 0, withstood: 0, queries: 0,
      changedWords: 0, words: 0)
    for index in chosen {
      guard let text = domain.text?(index) else { throw StudyError.noTexts(domain: domain.name) }
      let outcome = try attack.attack(
        classifier, text: text, label: domain.examples.labels[index], queries: robustness.queries)
      record.queries += outcome.queries
      switch outcome.result {
      case .wrongAlready: break
      case .withstood:
        record.correct += 1
        record.withstood += 1
      case .succeeded:
        record.correct += 1
        record.changedWords += outcome.changes.count
        record.words += outcome.words
      }
    }
    return record
  }
}

extension AttackRecord {
  fileprivate func of(_ set: MixtureSet, _ target: Int) -> AttackRecord {
    var record = self
    record.members = set.members
    record.domain = target
    return record
  }
}
