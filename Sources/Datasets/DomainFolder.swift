import Foundation

/// A data set on disk, `root/domain/class/image`: the layout of DomainBed and of every set it uses.
///
/// Domains, classes and images are sorted by code point whatever the locale (`location_100` before `location_38`), so that
/// indices, and with them the splits, are those of DomainBed. Every domain must have the same classes. Nothing found in
/// the folder is dropped in silence: what is not used stands in `ignoredFiles`.
public struct DomainFolder: DomainDataset {
  public struct Options: Sendable, Hashable {
    public enum SymbolicLinks: Sendable, Hashable {
      /// Links are followed when they lead to a place inside the root; others are an error.
      case insideRoot
      /// Links are followed wherever they lead.
      case anywhere
    }

    /// A class that a domain lacks, or has no image of, is an error unless this is true.
    public var allowsMissingClasses = false
    public var symbolicLinks = SymbolicLinks.insideRoot

    public init(allowsMissingClasses: Bool = false, symbolicLinks: SymbolicLinks = .insideRoot) {
      self.allowsMissingClasses = allowsMissingClasses
      self.symbolicLinks = symbolicLinks
    }
  }

  public struct Sample: DomainSample {
    /// Relative to the root: `domain/class/image`.
    public let path: String
    /// Index into `DomainFolder.domains` of the folder it was listed from, the target included.
    public var domain: Int
    /// Index into `DomainFolder.classes`.
    public let label: Int
  }

  public struct IgnoredFile: Sendable, Hashable, CustomStringConvertible {
    /// Relative to the root.
    public let path: String
    public let reason: String
    public var description: String { "\(path): \(reason)" }
  }

  /// File name extensions of images, compared without case.
  public static let imageExtensions: Set<String> = ["jpg", "jpeg", "png", "webp"]

  public let root: URL
  public let domains: [String]
  public let classes: [String]
  /// All samples, by domain, then class, then file name.
  public let samples: [Sample]
  /// What was found and not used, with the reason.
  public let ignoredFiles: [IgnoredFile]
  /// Each domain's part of `samples`.
  public let ranges: [Range<Int>]

  /// Lists the folder; reads no image.
  ///
  /// - Throws: `DomainFolderError`.
  public init(at root: URL, options: Options = Options()) throws(DomainFolderError) {
    self = try DomainFolderReader(root: root, options: options).read()
  }

  init(
    root: URL, domains: [String], classes: [String], samples: [Sample], ignoredFiles: [IgnoredFile],
    ranges: [Range<Int>]
  ) {
    self.root = root
    self.domains = domains
    self.classes = classes
    self.samples = samples
    self.ignoredFiles = ignoredFiles
    self.ranges = ranges
  }

  /// Where a sample lies.
  public func path(of sample: Sample) -> String { root.path + "/" + sample.path }

  public func keeping(domains: [String], samples: [Sample], ranges: [Range<Int>]) -> DomainFolder {
    DomainFolder(
      root: root, domains: domains, classes: classes, samples: samples, ignoredFiles: ignoredFiles, ranges: ranges)
  }
}
