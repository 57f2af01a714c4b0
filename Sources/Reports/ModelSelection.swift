/// Which of a run's evaluations counts, and which of several runs that differ in their hyperparameters.
///
/// A method that may look at the target domain while choosing reports a number that nobody could reach in practice;
/// Gulrajani and Lopez-Paz 2021, "In Search of Lost Domain Generalization", arXiv:2007.01434, section 3. So each is
/// named as what it is, and `seesTarget` says which ones look.
///
/// Where two evaluations tie, the earlier step wins; where two runs tie, the higher `hparams_seed`, as in DomainBed.
public enum ModelSelection: String, CaseIterable, Codable, Sendable {
  /// The step with the highest unweighted mean, over the source domains, of the accuracy on their "out" splits
  /// (DomainBed's `IIDAccuracySelectionMethod`; the published protocol of most tables).
  case trainingDomainValidation = "training-domain validation"
  /// The last step; among runs, the one whose last step has the highest mean "out" accuracy on the source domains.
  case lastStep = "last step"
  /// The step with the highest accuracy on the target's own "out" split: early stopping on the target.
  case oracle = "test-domain validation (oracle)"
  /// The last step; among runs, the one with the highest accuracy on the target's "out" split. This is what DomainBed
  /// calls oracle: it allows one look at the target per run, hence no early stopping.
  case oracleLastStep = "test-domain validation, last step (DomainBed's oracle)"
  /// The step and run with the highest mean accuracy over the source domains, each measured by the run that also left
  /// that domain out (`test_envs` = target and it) on its "in" split. Needs those runs at the same steps.
  case leaveOneDomainOut = "leave-one-domain-out cross-validation"

  public var seesTarget: Bool { self == .oracle || self == .oracleLastStep }

  /// The evaluation that was chosen.
  public struct Choice: Equatable, Sendable {
    public var record: ResultRecord
    public var target: Int
    /// What was maximized, `0...1`.
    public var validation: Double

    /// Accuracy on the target's "in" split, its 80 %: the number that published tables report.
    public var targetIn: Double { record.domains[target].inAccuracy }
    /// Accuracy on all images of the target; `nil` where the record does not tell the sizes of the splits.
    public var targetWhole: Double? { record.domains[target].wholeAccuracy }

    /// `target` must be one of the record's domains.
    init?(_ record: ResultRecord, target: Int, validation: Double?) {
      guard let validation, !validation.isNaN, record.domains.indices.contains(target) else { return nil }
      self.record = record
      self.target = target
      self.validation = validation
    }
  }

  /// The best evaluation among records that share dataset, algorithm, target and trial, whatever their hyperparameters.
  ///
  /// - Returns: `nil` where there is nothing to choose from: no run with this one target, accuracies that are all
  ///   not-a-number, or, for cross-validation, runs missing.
  public func choose(from records: [ResultRecord], target: Int) -> Choice? {
    let runs = Dictionary(grouping: records, by: \.run.hparamsSeed)
    let choices = runs.keys.sorted().compactMap { chooseStep(from: runs[$0] ?? [], target: target) }
    return choices.reduce(nil) { best, next in
      guard let best else { return next }
      return next.validation >= best.validation ? next : best
    }
  }

  private func chooseStep(from records: [ResultRecord], target: Int) -> Choice? {
    let alone = records.filter { $0.run.testDomains == [target] }
    switch self {
    case .trainingDomainValidation:
      return firstBest(alone.map { Choice($0, target: target, validation: sourceAccuracy($0, target)) })
    case .oracle:
      return firstBest(alone.map { Choice($0, target: target, validation: targetOutAccuracy($0, target)) })
    case .lastStep:
      return last(alone).flatMap { Choice($0, target: target, validation: sourceAccuracy($0, target)) }
    case .oracleLastStep:
      return last(alone).flatMap { Choice($0, target: target, validation: targetOutAccuracy($0, target)) }
    case .leaveOneDomainOut:
      let steps = Dictionary(grouping: records, by: \.step)
      return firstBest(steps.keys.sorted().map { crossValidated(steps[$0] ?? [], target) })
    }
  }

  private func firstBest(_ choices: [Choice?]) -> Choice? {
    choices.compactMap(\.self).reduce(nil) { best, next in
      guard let best else { return next }
      // A later record of an earlier step (a resumed run) still counts as earlier.
      if next.validation == best.validation { return next.record.step < best.record.step ? next : best }
      return next.validation > best.validation ? next : best
    }
  }

  private func last(_ records: [ResultRecord]) -> ResultRecord? {
    records.reduce(nil) { last, next in
      guard let last else { return next }
      return next.step >= last.step ? next : last
    }
  }

  private func sourceAccuracy(_ record: ResultRecord, _ target: Int) -> Double? {
    Statistics.mean(record.domains.indices.filter { $0 != target }.map { record.domains[$0].outAccuracy })
  }

  private func targetOutAccuracy(_ record: ResultRecord, _ target: Int) -> Double? {
    record.domains.indices.contains(target) ? record.domains[target].outAccuracy : nil
  }

  private func crossValidated(_ records: [ResultRecord], _ target: Int) -> Choice? {
    let alone = records.filter { $0.run.testDomains == [target] }
    guard alone.count == 1, let record = alone.first else { return nil }
    var accuracies: [Int: Double] = [:]
    for pair in records where pair.run.testDomains.count == 2 && pair.run.testDomains.contains(target) {
      for held in pair.run.testDomains where held != target && pair.domains.indices.contains(held) {
        accuracies[held] = pair.domains[held].inAccuracy
      }
    }
    let sources = record.domains.indices.filter { $0 != target }
    let held = sources.compactMap { accuracies[$0] }
    guard held.count == sources.count else { return nil }
    return Choice(record, target: target, validation: Statistics.mean(held))
  }
}
