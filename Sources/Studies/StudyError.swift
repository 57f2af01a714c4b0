/// What keeps a study from starting, or from going on.
public enum StudyError: Error, Equatable, CustomStringConvertible {
  case domains([String])
  case tooManyDomains(Int, limit: Int)
  case names([String], of: String)
  case manyDomains(domain: String, [String])
  case empty(domain: String, part: String)
  case unknownExample(domain: String, index: Int)
  case overlap(domain: String)
  case seeds([UInt64])
  case range(setting: String, value: String, allowed: String)
  case noTexts(domain: String)
  case noEncoder
  case noChange(kind: String, site: String)
  case besideMaps(kind: String, place: String)
  case noReference(String, network: String)
  case values(String, [Double], of: String)
  case damaged(file: String, problem: String)

  public var description: String {
    switch self {
    case .domains(let names):
      "A study of mixtures needs two domains or more, not [\(names.joined(separator: ", "))]."
    case .tooManyDomains(let count, let limit):
      "\(count) domains have 2^\(count) mixtures. A study takes \(limit) domains at most; choose some of them."
    case .names(let names, let what):
      "The \(what) must have names, each its own: [\(names.joined(separator: ", "))]."
    case .manyDomains(let domain, let found):
      "The examples of '\(domain)' have the domains [\(found.joined(separator: ", "))]. Give one domain's at a time."
    case .empty(let domain, let part): "'\(domain)' has no \(part) example that can be used. Add some."
    case .unknownExample(let domain, let index): "'\(domain)' has no example \(index). They are counted from 0."
    case .overlap(let domain): "Training and test of '\(domain)' share examples. They must not."
    case .seeds(let seeds): "The seeds must be one or more, each once, not \(seeds)."
    case .range(let setting, let value, let allowed): "'\(setting)' cannot be \(value). Give \(allowed)."
    case .noTexts(let domain):
      "The examples of '\(domain)' are no texts, so there is nothing to attack. Turn attacks off."
    case .noEncoder: "Attacks change texts, and nothing was given that turns texts into inputs. Turn attacks off."
    case .noChange(let kind, let site):
      """
      '\(kind)' makes no fixed change of the weight at '\(site)', so it cannot be mixed as changes of weights. Mix its \
      parameters: space: factors.
      """
    case .besideMaps(let kind, let place):
      """
      '\(kind)' changes '\(place)' beside the weights of linear maps, so changes of weights are not all of it. Mix its \
      parameters: space: factors.
      """
    case .noReference(let name, let network):
      "'\(network)' is not meta-tuned by '\(name)', which its methods are to be compared with. Add it to its methods."
    case .values(let what, let values, let owner):
      "The \(what) of '\(owner)' must be one or more, each once, not \(values)."
    case .damaged(let file, let problem):
      "'\(file)' \(problem). Remove its folder; the next call makes it anew."
    }
  }
}
