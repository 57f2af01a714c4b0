/// Why a folder cannot serve as a data set of texts.
public enum TextFolderError: Error, Equatable, Sendable, CustomStringConvertible {
  public typealias ClassDifference = DomainFolderError.ClassDifference

  case missing(root: String)
  case notAFolder(root: String)
  case noDomains(root: String)
  /// Two places in the root hold the same domain.
  case domainTwice(String, places: [String])
  case noFiles(domain: String, root: String)
  /// Some files of a domain are named for parts, others not.
  case mixedParts(domain: String, files: [String])
  case partTwice(domain: String, files: [String])
  case noSamples(domain: String, badLines: Int)
  case oneClass(domain: String, name: String)
  case classesDiffer([ClassDifference], root: String)
  /// Classes that were given and cannot be used.
  case classes([String])
  case lineLimit(Int)
  /// The first line of a table has no such column.
  case missingColumn(String, file: String, columns: [String], nearest: String?)
  case columnTwice(String, file: String)
  case header(file: String, problem: String)
  /// A column that files of this kind do not have: a place in JSON, or a name in a table without names.
  case column(TextColumn, file: String)
  case splitOptions
  case emptyPart(String, domain: String, samples: Int)

  public var description: String {
    switch self {
    case .missing(let root):
      "There is no folder '\(root)'. Give the folder that holds one file or folder per domain."
    case .notAFolder(let root):
      "'\(root)' is a file. Give the folder that holds one file or folder per domain."
    case .noDomains(let root):
      "'\(root)' has no domains. It should hold a .jsonl, .csv or .tsv file, or a folder of them, for each domain."
    case .domainTwice(let domain, let places):
      "Domain '\(domain)' is there more than once: \(quoted(places)). Keep one, or rename the others."
    case .noFiles(let domain, let root):
      """
      The folder of domain '\(domain)' in '\(root)' has no file of texts. Files end in .jsonl, .csv or .tsv; remove the \
      folder if it is not a domain.
      """
    case .mixedParts(let domain, let files):
      """
      Domain '\(domain)' has files of parts beside others: \(quoted(files)). Name all of them train, validation or test, or \
      none.
      """
    case .partTwice(let domain, let files):
      "Domain '\(domain)' has a part more than once: \(quoted(files)). Keep one file for each part."
    case .noSamples(let domain, let badLines):
      "Domain '\(domain)' has no samples\(badLines > 0 ? ", only \(badLines) lines that cannot be used" : "")."
    case .oneClass(let domain, let name):
      """
      Domain '\(domain)' has only the class '\(name)'. Classification takes two classes or more; leave the domain out, or \
      allow missing classes where other domains have the rest.
      """
    case .classesDiffer(let differences, let root):
      """
      The domains of '\(root)' do not have the same classes: \(differences.map(\.description).joined(separator: "; ")). \
      Read domains with classes of their own one by one, or allow missing classes.
      """
    case .classes(let names):
      "The classes \(quoted(names)) cannot be used. Give two or more, each once."
    case .lineLimit(let limit):
      "Lines of at most \(limit) bytes cannot be read. Give 1 to \(Self.largestLineLimit)."
    case .missingColumn(let name, let file, let columns, let nearest):
      """
      '\(file)' has no column '\(name)'.\(nearest.map { " Did you mean '\($0)'?" } ?? "") Its first line has \
      \(quoted(columns)).
      """
    case .columnTwice(let name, let file):
      "'\(file)' has the column '\(name)' twice. Rename one."
    case .header(let file, let problem):
      "The first line of '\(file)', which should name its columns, \(problem)."
    case .column(let column, let file):
      switch column {
      case .named(let name):
        """
        '\(file)' is read without a line of names, so '\(name)' means nothing in it. Give the number of the column, counted \
        from 1.
        """
      case .number(let number):
        "'\(file)' has no column \(number). Columns are counted from 1; those of JSON Lines have names only."
      }
    case .splitOptions:
      "Give shares for validation and test from 0 up to, but not 1 together, and 1 or more for the most samples of a part."
    case .emptyPart(let part, let domain, let samples):
      "Domain '\(domain)' has \(samples) samples, which leaves none for its \(part) part. Add some, or change the shares."
    }
  }

  static let largestLineLimit = 1 << 30
}
