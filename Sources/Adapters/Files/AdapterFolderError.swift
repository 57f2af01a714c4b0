import Formats

/// Why an adapter's folder was refused: what does not fit, where, and what to do.
public enum AdapterFolderError: Error, Equatable, CustomStringConvertible {
  case noAdapter(String)
  case noWeights(String, expected: String)
  case pickle(String, safetensors: String)
  case version(String, Int?)
  case details(String)
  case otherBackbone(String, expected: String, found: String)
  case unknownSite(String, known: [String])
  case names(String, missing: [String], unexpected: [String])
  case shape(String, file: String, expected: [Int], found: [Int])
  case notFinite(String, file: String?)
  case tensor(String, String)
  case unsupported(String, String)
  case setting(String, field: String, value: String, reason: String)
  case notWritable(AdapterFormat, String)
  case labels(Int, expected: Int)

  public var description: String {
    switch self {
    case .noAdapter(let folder):
      "There is no adapter in \(folder): adapter_config.json is missing. Give the folder that an adapter was saved to."
    case .noWeights(let folder, let expected):
      "The adapter in \(folder) has no \(expected). Copy the folder again, with all of its files."
    case .pickle(let file, let safetensors):
      """
      \(file) is a pickle, which can run any program when it is opened, so it is not read. Where you trust it, convert it \
      once with Python:
        import torch; from safetensors.torch import save_file
        save_file({k: v.contiguous() for k, v in torch.load("\(file)", weights_only=True).items()}, "\(safetensors)")
      """
    case .version(let folder, let version):
      "The adapter in \(folder) has format version \(version.map(String.init) ?? "none"); this program reads up to "
        + "\(AdapterFolder.version). Use a newer one."
    case .details(let file): "\(file) lacks the method, its settings or its sites. Save the adapter again."
    case .otherBackbone(let folder, let expected, let found):
      """
      The adapter in \(folder) was trained on another network, \(expected.prefix(12))… where this one is \
      \(found.prefix(12))…: other weights, or another pooling, activation or number of heads. Load the one it was trained \
      on, or allow another backbone explicitly.
      """
    case .unknownSite(let name, let known):
      "The backbone has no site '\(name)'.\(Suggestion.didYouMean(name, among: known))"
    case .names(let file, let missing, let unexpected):
      "\(file) does not hold this adapter." + Self.list(" Missing", missing, beside: unexpected)
        + Self.list(" Not part of it", unexpected, beside: missing)
    case .shape(let name, let file, let expected, let found):
      """
      '\(name)' in \(file) has shape \(found) where \(expected) is wanted. The adapter belongs to a network of another \
      width, or its configuration says another rank than its tensors have.
      """
    case .notFinite(let name, let file?):
      "'\(name)' in \(file) holds NaN or infinity, or is no floating-point tensor. The run that wrote it has diverged."
    case .notFinite(let name, nil):
      "'\(name)' holds NaN or infinity; nothing was written. The run that made it has diverged."
    case .tensor(let name, let what): "'\(name)' does not fit the adapter that graft.json describes: \(what)"
    case .unsupported(let folder, let what): "The adapter in \(folder) cannot be read: \(what)"
    case .setting(let folder, let field, let value, let reason):
      "The adapter in \(folder) cannot be read: \"\(field)\" is \(value.prefix(200)), and \(reason)"
    case .notWritable(let format, let what): "The adapter cannot be written for \(format): \(what)"
    case .labels(let count, let expected):
      "\(count) class labels were given for a classifier of \(expected) classes. Give one for each, in order."
    }
  }

  private static func list(_ title: String, _ names: [String], beside others: [String]) -> String {
    guard !names.isEmpty else { return "" }
    let shown = names.prefix(8).map { name in
      Suggestion.closest(to: name, among: others, limit: 1).first.map { "\(name) (near \($0))" } ?? name
    }
    return "\(title) (\(names.count)): \(shown.joined(separator: ", "))\(names.count > 8 ? ", …" : "")."
  }
}
