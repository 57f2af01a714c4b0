/// Why a folder cannot serve as a data set of domains.
public enum DomainFolderError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What one domain has less, or more, than all domains together.
  public struct ClassDifference: Equatable, Sendable, CustomStringConvertible {
    public let domain: String
    public let missing: [String]
    public init(domain: String, missing: [String]) {
      self.domain = domain
      self.missing = missing
    }
    public var description: String { "'\(domain)' lacks \(quoted(missing))" }
  }

  case missing(root: String)
  case notAFolder(root: String)
  case unreadable(path: String, reason: String)
  case noDomains(root: String)
  case noClasses(domain: String, root: String)
  case classesDiffer([ClassDifference], root: String)
  case emptyClass(String, domain: String, ignored: Int, root: String)
  case linkLeavesRoot(path: String, destination: String, root: String)

  public var description: String {
    switch self {
    case .missing(let root):
      "There is no folder '\(root)'. Give the folder that holds one folder per domain."
    case .notAFolder(let root):
      "'\(root)' is a file. Give the folder that holds one folder per domain."
    case .unreadable(let path, let reason):
      "'\(path)' cannot be listed: \(reason). Check its permissions."
    case .noDomains(let root):
      "'\(root)' has no domains. It should hold images as domain/class/image, with one folder per domain."
    case .noClasses(let domain, let root):
      """
      Domain '\(domain)' in '\(root)' has no class folders. Images belong in \(domain)/class/image; remove the folder \
      if it is not a domain.
      """
    case .classesDiffer(let differences, let root):
      """
      The domains of '\(root)' do not have the same classes: \(differences.map(\.description).joined(separator: "; ")). \
      Add or rename the folders, or allow missing classes.
      """
    case .emptyClass(let name, let domain, let ignored, let root):
      """
      Class '\(name)' of domain '\(domain)' in '\(root)' has no image\(ignored > 0 ? ", only \(ignored) other files" : ""). \
      Images end in .jpg, .jpeg, .png or .webp. Add some, or allow missing classes.
      """
    case .linkLeavesRoot(let path, let destination, let root):
      """
      '\(path)' is a symbolic link to '\(destination)', outside '\(root)'. Copy what it points to into the folder, or \
      allow links to lead anywhere.
      """
    }
  }
}
