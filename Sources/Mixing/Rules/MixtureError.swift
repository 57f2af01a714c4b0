import Formats

/// Why adapters were not mixed: what does not fit, where, and what to do.
public enum MixtureError: Error, Equatable, CustomStringConvertible {
  // Members
  case empty
  case duplicate(String)
  case unknownMember(String, known: [String])
  case notFinite(String, member: String?)
  case otherBackbone(String, found: String, expected: String, of: String)
  case notLinear(String, method: String, place: String)
  case doesNotMerge(String, method: String, String)
  case needsLoRA(String, method: String)
  case noBias(String, member: String)
  case otherParts(String, String, of: String)
  case noHead(String)

  // Weights
  case weight(String, Double)
  case noWeight(Double)
  case weightsUnused(String)

  // Rules and their settings
  case unknownRule(String, known: [String])
  case unknownSetting(String, of: String, known: [String])
  case sharedSetting(String, of: String, known: [String])
  case setting(String, of: String, value: Double, range: String)
  case settingType(String, of: String, value: String)
  case perMember(String, Int, members: Int)
  case memberCount(String, Int, wanted: String)
  case nothingKept(String)
  case balanced(String)
  case inner(String)
  case globalSchedule
  case needsChanges(String)
  case notASum(String)
  case needsMean(String)
  case noFactors(String)
  case filter(String)

  // Files
  case record(String, problem: String)
  case recipe(String)

  public var description: String {
    switch self {
    case .empty: "No adapter was chosen, so there is nothing to mix. Give at least one."
    case .duplicate(let name):
      "Two of the adapters are called '\(name)'. Give each a name of its own: results are told apart by them."
    case .unknownMember(let name, let known):
      "No adapter here is called '\(name)'.\(Suggestion.didYouMean(name, among: known)) "
        + "They are \(known.joined(separator: ", "))."
    case .notFinite(let tensor, let member):
      member.map { "'\(tensor)' of '\($0)' holds NaN or infinity: the run that made it has diverged. Leave it out." }
        ?? "The mixture of '\(tensor)' is not finite. Choose smaller weights."
    case .otherBackbone(let name, let found, let expected, let first):
      """
      '\(name)' belongs to the network \(found.prefix(12))…, and '\(first)' to \(expected.prefix(12))…. Adapters mix only on one \
      network: train it again on the other's.
      """
    case .notLinear(let name, let method, let place):
      """
      '\(name)' is a \(method) adapter, which at \(place) is no change of a linear map: it has no ΔW to mix. Mix adapters of its \
      kind in the space of factors (--space factors).
      """
    case .doesNotMerge(let name, let method, let obstacle):
      """
      '\(name)' is a \(method) adapter, which has no ΔW to mix: \(obstacle). Mix adapters of its kind in the space of factors \
      (--space factors).
      """
    case .needsLoRA(let name, let method):
      "PEFT's rules for factors are for LoRA with one rank at each map, and '\(name)' is \(method). Use --space delta."
    case .noBias(let site, let member):
      """
      The map '\(site)' has no bias, and '\(member)' adds one: the mixture has no place for it. Leave that adapter out, or \
      train it without a bias there.
      """
    case .otherParts(let tensor, let member, let first):
      """
      '\(tensor)' of '\(member)' is another than that of '\(first)', and it does not train: numbers that were trained beside \
      different ones do not mix. Mix adapters of the same parts.
      """
    case .noHead(let name): "'\(name)' was saved without a classifier, so the mixture cannot take it over."
    case .weight(let name, let weight): "The weight of '\(name)' is \(weight); it must be finite."
    case .noWeight(let sum):
      """
      The weights add up to \(sum), and they would be divided by that. Give weights with another sum, or a rule that does \
      not normalize.
      """
    case .weightsUnused(let rule):
      "'\(rule)' finds the shares of its members itself: leave the weights out, or choose another rule."
    case .unknownRule(let name, let known):
      "There is no mixing method '\(name)'.\(Suggestion.didYouMean(name.lowercased(), among: known)) "
        + "The methods are \(known.joined(separator: ", "))."
    case .unknownSetting(let name, let rule, let known):
      "'\(rule)' has no setting '\(name)'.\(Suggestion.didYouMean(name, among: known)) "
        + "Its settings are \(known.isEmpty ? "none" : known.joined(separator: ", "))."
    case .sharedSetting(let name, let member, let known):
      """
      '\(name)' holds for all members, so '\(member)' cannot have its own: write it under 'settings'. A member's own are \
      \(known.joined(separator: ", ")).
      """
    case .setting(let setting, let rule, let value, let range):
      "'\(setting)' of '\(rule)' is \(value); it must be \(range)."
    case .settingType(let setting, let rule, let value):
      "'\(setting)' of '\(rule)' cannot be \(value)."
    case .perMember(let setting, let found, let members):
      "'\(setting)' has \(found) values for \(members) members. Give one for all, or one for each."
    case .memberCount(let rule, let found, let wanted): "'\(rule)' mixes \(wanted), and \(found) were given."
    case .nothingKept(let rule):
      "'\(rule)' would keep nothing: its density is zero for every member. Give one above 0, the fraction that is kept."
    case .balanced(let name):
      """
      The directions of the members cancel in '\(name)', so they have no mean on the sphere. Choose other weights, or a rule \
      that is not spherical.
      """
    case .inner(let rule):
      "'\(rule)' cannot be the inner rule: choose one that works tensor by tensor, such as ties with scope tensor."
    case .globalSchedule: "With scope 'global' one density holds for all layers: it cannot change from layer to layer."
    case .needsChanges(let rule):
      "'\(rule)' works on the changes of the weights, not on an adapter's factors. Leave --space at delta."
    case .notASum(let rule):
      """
      '\(rule)' gives no weighted sum of the members, so their factors side by side are not its mixture. Ask for a rank, or \
      for the dense form.
      """
    case .needsMean(let rule):
      """
      Outputs are averaged with one weight for each member in all layers, and '\(rule)' does something else. Choose uniform or \
      weighted, or another --space.
      """
    case .noFactors(let site):
      """
      At '\(site)' the members' factors side by side would hold no fewer numbers than ΔW itself, or a member has none. Ask for \
      a rank, or for the dense form.
      """
    case .filter(let filter): "No place that is mixed has '\(filter)' in its name, so that filter would change nothing."
    case .record(let file, let problem): "\(file) is no record of a mixture that can be read: \(problem)."
    case .recipe(let problem): problem
    }
  }
}
