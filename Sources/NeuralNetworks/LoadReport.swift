/// What a file held and what became of it. Nothing is skipped without a line here.
public struct LoadReport: Sendable, Equatable {
  public struct Ignored: Sendable, Equatable {
    public let name: String
    public let reason: String
  }

  public let family: String
  /// Tensors of the file that the network uses.
  public let used: Int
  /// Tensors of the file that it does not, and why.
  public let ignored: [Ignored]
  /// What neither the configuration nor the tensors say, and was taken to be so.
  public let assumptions: [String]
}

/// A folder whose weights do not make a network.
public enum LoadError: Error, Equatable, CustomStringConvertible {
  case unknownFamily(folder: String, examples: [String])
  case otherKind(folder: String, found: String, wanted: String, type: String)
  case unaccounted(folder: String, unknown: [String], missing: [String])
  case shape(String, expected: [Int], found: [Int])
  case duplicate(String, [String])
  case configuration(file: String, problem: String)
  case inferred(String, String)

  public var description: String {
    switch self {
    case .unknownFamily(let folder, let examples):
      """
      The tensors in \(folder) are named like no transformer known here (timm, Hugging Face ViT, DeiT, DINOv2, CLIP, \
      OpenCLIP; BERT, RoBERTa, DistilBERT). The first are: \(examples.joined(separator: ", ")).
      """
    case .otherKind(let folder, let found, let wanted, let type):
      "The weights in \(folder) are those of \(found), and \(wanted) was asked for. Open them as a \(type)."
    case .unaccounted(let folder, let unknown, let missing):
      "The weights in \(folder) do not make the network. "
        + [
          Self.list("Missing", missing), Self.list("Not part of it", unknown),
        ].compactMap { $0 }.joined(separator: " ")
    case .shape(let name, let expected, let found):
      "'\(name)' has shape \(found); the rest of the network makes it \(expected)."
    case .duplicate(let name, let sources):
      "'\(name)' is there more than once, as \(sources.joined(separator: " and "))."
    case .configuration(let file, let problem): "\(file): \(problem)"
    case .inferred(let what, let remedy): "\(what) \(remedy)"
    }
  }

  private static func list(_ title: String, _ names: [String]) -> String? {
    guard !names.isEmpty else { return nil }
    let shown = names.prefix(12).joined(separator: ", ")
    return "\(title) (\(names.count)): \(shown)\(names.count > 12 ? ", …" : "")."
  }
}
