import Crypto
import Foundation

/// Texts to classify, in domains: one file, or one folder of files, for each domain.
///
/// | in the root | is |
/// |---|---|
/// | `amazon.jsonl` | the domain `amazon`, not divided |
/// | `reuters/train.jsonl`, `reuters/test.jsonl` | the domain `reuters`, divided into parts; `validation` may be one too |
/// | `news/2004.jsonl`, `news/2005.jsonl` | the domain `news`, not divided: any other names |
///
/// Files end in `.jsonl`, one JSON object a line; `.csv`, as RFC 4180 has it; or `.tsv`, whose fields hold neither tabs nor line
/// ends and are never quoted. All are UTF-8, with or without a byte order mark, and are read a piece at a time. A sample is
/// one sentence or two, and a label: a string or a number.
///
/// Domains and classes are sorted by code point whatever the locale. Every domain has the same classes; where each has its own, as in
/// studies of mixing, `tasks(at:)` makes a data set of each.
public struct TextFolder: DomainDataset {
  public struct Options: Sendable, Hashable {
    public var text: TextColumn = "text"
    /// The second sentence of a pair; nil for single sentences.
    public var secondText: TextColumn?
    public var label: TextColumn = "label"
    /// Whether CSV and TSV files begin with a line of names.
    public var hasHeader = true
    /// The domains to read; nil for all there are.
    public var domains: [String]?
    /// In the order of their indices; nil for the labels that occur, sorted.
    public var classes: [String]?
    /// A class that a domain has no sample of is an error unless this is true, and so is a domain of one class.
    public var allowsMissingClasses = false
    public var badLines = BadSamplePolicy.error
    /// The longest line of JSON Lines and TSV, or record of CSV, in bytes.
    public var lineLimit = 1 << 20
    public var symbolicLinks = DomainFolder.Options.SymbolicLinks.insideRoot

    public init() {}
  }

  /// What a file of a divided domain is for.
  public enum Part: String, Sendable, Hashable, CaseIterable {
    case train, validation, test
  }

  public struct Sample: DomainSample {
    public let text: String
    public let secondText: String?
    /// Index into `TextFolder.domains`.
    public var domain: Int
    /// Index into `TextFolder.classes`.
    public let label: Int
    /// nil in a domain that is not divided.
    public let part: Part?
    /// Relative to the root.
    public let file: String
    /// Where it starts, counted from 1.
    public let line: Int
  }

  public let root: URL
  public let domains: [String]
  public let classes: [String]
  /// By domain, then part, then file name, then line.
  public let samples: [Sample]
  public let ranges: [Range<Int>]
  /// Lines left out under `BadSamplePolicy.skip`.
  public let badLines: [BadSample]
  /// What was found and not used, with the reason.
  public let ignoredFiles: [DomainFolder.IgnoredFile]

  /// Reads the texts.
  ///
  /// - Throws: `TextFolderError` and `DomainDatasetError.unknownDomain`; `BadLinesError` naming every bad line, unless they are
  ///   skipped; `FileError`; `DomainFolderError` where a folder cannot be listed or a link leads out of the root.
  public init(at root: URL, options: Options = Options()) throws {
    self = try TextFolderReader(root: root, options: options).folder()
  }

  /// Every domain as a data set of its own, with its own classes.
  ///
  /// - Throws: as `init(at:options:)`.
  public static func tasks(at root: URL, options: Options = Options()) throws -> [TextFolder] {
    try TextFolderReader(root: root, options: options).domainNames().map { name in
      var own = options
      own.domains = [name]
      return try TextFolder(at: root, options: own)
    }
  }

  init(
    root: URL, domains: [String], classes: [String], samples: [Sample], ranges: [Range<Int>], badLines: [BadSample],
    ignoredFiles: [DomainFolder.IgnoredFile]
  ) {
    self.root = root
    self.domains = domains
    self.classes = classes
    self.samples = samples
    self.ranges = ranges
    self.badLines = badLines
    self.ignoredFiles = ignoredFiles
  }

  public func keeping(domains: [String], samples: [Sample], ranges: [Range<Int>]) -> TextFolder {
    TextFolder(
      root: root, domains: domains, classes: classes, samples: samples, ranges: ranges, badLines: badLines,
      ignoredFiles: ignoredFiles)
  }

  /// A SHA-256 over domains, classes and samples, but not where they lie: computed anew at every call.
  public var fingerprint: String {
    var hash = SHA256()
    // Each string with its length before it, so that none runs into the next.
    func add(_ text: String?) {
      guard var text else { return hash.update(data: Data([0xFF])) }
      text.withUTF8 { bytes in
        withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { hash.update(bufferPointer: $0) }
        hash.update(bufferPointer: UnsafeRawBufferPointer(bytes))
      }
    }
    for names in [domains, classes] {
      add("\(names.count)")
      for name in names { add(name) }
    }
    for sample in samples {
      add("\(sample.domain) \(sample.label) \(sample.part?.rawValue ?? "")")
      add(sample.text)
      add(sample.secondText)
    }
    return hash.finalize().map { byte in
      let digits = String(byte, radix: 16)
      return byte < 16 ? "0" + digits : digits
    }.joined()
  }
}
