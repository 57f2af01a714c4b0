import Adapters
import Formats
import NeuralNetworks
import Tensors

/// Mixing in weight space: several adapters of one backbone become one, at the cost of one.
///
///     let soup = try Mix([MixMember("a", a), MixMember("b", b)], by: TIES()).result()
///     try soup.save(to: folder)
///
/// In the space of changes, the default, members may be of any methods that merge, of any ranks and at any maps; one that
/// leaves a map alone counts as zero there. Tensors that are tuned themselves, as LayerNorms, are averaged. Classifiers are
/// never mixed.
public struct Mix: Sendable {
  public var members: [MixMember]
  public var rule: any MixingRule
  public var space: MixingSpace
  /// In the space of changes: what the result is written as.
  public var form: MixForm
  /// Of the rules that draw at random.
  public var seed: UInt64
  /// The member whose classifier the mixture takes over.
  public var head: String?
  /// Weights and settings that change from layer to layer, in place of `rule` and the members' weights.
  public var schedule: MixSchedule?
  var conventions = MixConventions.ours

  public init(
    _ members: [MixMember], by rule: any MixingRule = Uniform(), space: MixingSpace = .delta,
    form: MixForm = .automatic, seed: UInt64 = 0, head: String? = nil, schedule: MixSchedule? = nil
  ) {
    self.members = members
    self.rule = rule
    self.space = space
    self.form = form
    self.seed = seed
    self.head = head
    self.schedule = schedule
  }

  /// Mixes.
  ///
  /// - Throws: `MixtureError` for what does not fit, before any tensor is mixed; `MixingError.layout` in the space of factors for
  ///   adapters of different structures.
  public func result() throws -> MixResult {
    let backbone = try checkedBackbone()
    return try withoutGradients {
      let outcome =
        switch space {
        case .delta: try DeltaMixer(self, backbone).outcome()
        case .factors, .peftFactors: try FactorMixer(self, backbone).outcome()
        case .outputs: try OutputMixer(self, backbone).outcome()
        }
      var model = AdaptedModel(backbone: backbone, adapter: outcome.adapter)
      var warnings = outcome.warnings
      if let head {
        model.head = members.first { $0.name == head }?.model.head
        warnings += headWarnings(head)
      }
      let report = MixReport(
        places: outcome.places, norm: outcome.norm, meanMemberNorm: outcome.meanMemberNorm, warnings: warnings)
      return MixResult(
        model: model, report: report, provenance: try provenance(backbone, outcome.fromSharedStart))
    }
  }

  /// What the mixers hand back.
  struct Outcome {
    let adapter: Adapter
    let places: [MixReport.Place]
    let norm: Double
    let meanMemberNorm: Double
    let fromSharedStart: Bool
    let warnings: [String]
  }

  /// The rule and the members' weights for a place.
  func rule(at place: MixSchedule.Place) throws -> (rule: any MixingRule, weights: [Double]) {
    try schedule?.rule(at: place, members: members.map(\.name)) ?? (rule, members.map(\.weight))
  }

  // MARK: Checks

  private func checkedBackbone() throws -> any Backbone {
    guard let first = members.first else { throw MixtureError.empty }
    var names: Set<String> = []
    for member in members {
      guard names.insert(member.name).inserted else { throw MixtureError.duplicate(member.name) }
      let (found, expected) = (member.model.backbone.fingerprint, first.model.backbone.fingerprint)
      guard found == expected else {
        throw MixtureError.otherBackbone(member.name, found: found, expected: expected, of: first.name)
      }
    }
    if schedule == nil { try rule.checked(weights: members.map(\.weight), members: members.map(\.name)) }
    if let head {
      guard let member = members.first(where: { $0.name == head }) else {
        throw MixtureError.unknownMember(head, known: members.map(\.name))
      }
      guard member.model.head != nil else { throw MixtureError.noHead(head) }
    }
    for member in members where schedule != nil || member.weight != 0 {
      for parameter in member.model.adapter.stored where try !parameter.value.detached().isAllFinite() {
        throw MixtureError.notFinite(parameter.name, member: member.name)
      }
    }
    return first.model.backbone
  }

  private func headWarnings(_ head: String) -> [String] {
    let classes = members.first { $0.name == head }?.model.head?.classes
    let others = members.filter { $0.name != head && $0.model.head.map { $0.classes != classes } ?? false }
    guard !others.isEmpty else { return [] }
    return [
      """
      the classifier is that of '\(head)'; \(others.map { "'\($0.name)'" }.joined(separator: ", ")) tell other classes apart, \
      which the mixture cannot
      """
    ]
  }

  private func provenance(_ backbone: any Backbone, _ fromSharedStart: Bool) throws -> MixProvenance {
    MixProvenance(
      members: members.map { member in
        let adapter = member.model.adapter
        return MixProvenance.Member(
          name: member.name, method: type(of: adapter.configuration).method,
          weight: schedule == nil ? member.weight : nil, digest: member.digest,
          initialSeed: adapter.initialSeed.map(String.init))
      },
      rule: try schedule?.json() ?? AnyMixingRule(rule).json(), space: space,
      form: space == .delta ? "\(form)" : space == .outputs ? "composition" : "parameters", seed: seed,
      fromSharedStart: fromSharedStart, head: head,
      backbone: backbone.fingerprint, conventions: conventions == .ours ? nil : conventions)
  }
}
