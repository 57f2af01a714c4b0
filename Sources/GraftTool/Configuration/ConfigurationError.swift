/// A configuration file, or a flag, that does not say what can be done. `place` is `demo.yaml:3:5` or `--steps`.
enum ConfigurationError: Error, Equatable, CustomStringConvertible {
  case syntax(place: String, problem: String)
  case tooLarge(file: String, limit: String)
  case unknownKey(String, place: String, suggestion: String, known: [String])
  case type(String, place: String, expected: String, found: String)
  case missing(String, flag: String?)
  case value(place: String, problem: String)

  var description: String {
    switch self {
    case .syntax(let place, let problem): "\(place): this is not YAML: \(problem)"
    case .tooLarge(let file, let limit): "\(file) is too large for a configuration: \(limit)."
    case .unknownKey(let key, let place, let suggestion, let known):
      "\(place): there is no setting '\(key)'.\(suggestion) The settings here are \(known.joined(separator: ", "))."
    case .type(let key, let place, let expected, let found):
      "\(place): '\(key)' must be \(expected), and is \(found)."
    case .missing(let key, let flag):
      "'\(key)' is missing. Give it in the configuration file\(flag.map { " or with \($0)" } ?? "")."
    case .value(let place, let problem): "\(place): \(problem)"
    }
  }
}
