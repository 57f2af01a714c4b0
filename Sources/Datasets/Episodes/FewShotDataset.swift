import Formats
import Foundation

/// Data sets to draw few-shot episodes from, each with classes of its own, divided into training, validation and test
/// classes.
///
/// Each domain of the underlying `DomainDataset` is a data set here; a class of one is another class in the next, even
/// under the same name. The division stands in files, `splits.json` in the root with one object for each data set it
/// names, `{"omniglot": {"training": [...], ...}, ...}`, or in a data set's folder with that object alone;
/// `ClassSplits` gives its form. A data set in no file is divided by a seed.
public struct FewShotDataset<Dataset: DomainDataset>: Sendable, Hashable {
  public let dataset: Dataset
  /// One for each data set, in the order of the domains.
  public let splits: [ClassSplits]

  /// - Parameters:
  ///   - dataset: made with missing classes allowed, as its domains have different ones.
  ///   - fractions: for data sets that no file divides.
  /// - Throws: `FewShotError`, naming file, data set and class; `JSONFileError` and `FileError` for files that cannot
  ///   be read.
  public init(_ dataset: Dataset, drawing fractions: ClassFractions = .usual, seed: UInt64 = 0) throws {
    let rootFile = dataset.root.appendingPathComponent(Self.fileName)
    let rootSplits = try Self.read(rootFile)
    if let rootSplits {
      guard let object = rootSplits.object else {
        throw FewShotError.malformed(
          "", dataset: nil, file: rootFile.path, expected: "an object of data sets", found: rootSplits.kind)
      }
      for name in object.keys where !dataset.domains.contains(name) {
        throw FewShotError.unknownDataset(
          name, file: rootFile.path, known: dataset.domains,
          suggestion: Suggestion.didYouMean(name, among: dataset.domains))
      }
    }
    self.dataset = dataset
    splits = try dataset.domains.indices.map { domain in
      let name = dataset.domains[domain]
      let present = Set(dataset.samples(inDomain: domain).map(\.label))
      let classes = dataset.classes.indices.filter(present.contains).map { dataset.classes[$0] }
      let ownFile = dataset.root.appendingPathComponent(name).appendingPathComponent(Self.fileName)
      switch (rootSplits?[name], try Self.read(ownFile)) {
      case (.some, .some): throw FewShotError.twoFiles(dataset: name, first: rootFile.path, second: ownFile.path)
      case (let json?, nil): return try ClassSplits(dataset: name, classes: classes, json: json, file: rootFile.path)
      case (nil, let json?): return try ClassSplits(dataset: name, classes: classes, json: json, file: ownFile.path)
      case (nil, nil): return ClassSplits(dataset: name, classes: classes, drawing: fractions, seed: seed)
      }
    }
  }

  init(_ dataset: Dataset, splits: [ClassSplits]) {
    self.dataset = dataset
    self.splits = splits
  }

  /// The data sets as pools of episodes, with the classes of one split.
  ///
  /// - Parameters:
  ///   - names: of the data sets; nil for all that have classes in the split.
  ///   - usable: whether an example can be used, by its index. A class may be left with few, or none: `EpisodeSampler`
  ///     names it.
  /// - Returns: in the order of the domains. Examples are indices into `dataset.samples`.
  /// - Throws: `FewShotError.unknownDataset`; `.noClasses` where a named data set has none in the split, or no data set
  ///   has.
  public func pools(
    _ split: ClassSplit, named names: [String]? = nil, usable: (Int) -> Bool = { _ in true }
  ) throws(FewShotError) -> [EpisodePool] {
    for name in names ?? [] {
      guard let domain = dataset.domains.firstIndex(of: name) else {
        throw .unknownDataset(
          name, file: nil, known: dataset.domains, suggestion: Suggestion.didYouMean(name, among: dataset.domains))
      }
      if splits[domain][split].isEmpty { throw .noClasses(split, datasets: [name]) }
    }
    let chosen = dataset.domains.indices.filter { domain in
      names?.contains(dataset.domains[domain]) ?? !splits[domain][split].isEmpty
    }
    guard !chosen.isEmpty else { throw .noClasses(split, datasets: dataset.domains) }
    return chosen.map { domain in
      let own = splits[domain]
      var examples: [String: [Int]] = [:]
      for index in dataset.ranges[domain] where usable(index) {
        examples[dataset.classes[dataset.samples[index].label], default: []].append(index)
      }
      let classes = own[split].map { EpisodePool.Class(name: $0, examples: examples[$0] ?? []) }
      return EpisodePool(name: own.dataset, classes: classes, hierarchy: own.hierarchy?.within(own[split]))
    }
  }

  /// What a folder's file of splits is called.
  public static var fileName: String { "splits.json" }

  private static func read(_ file: URL) throws -> JSONValue? {
    guard FileManager.default.fileExists(atPath: file.path) else { return .none }  // `nil` would be JSON's null
    return try JSONValue(contentsOf: file)
  }
}

extension ClassSplits.Hierarchy {
  /// The groups among these classes, by their places; groups that have none are left out.
  fileprivate func within(_ classes: [String]) -> ClassHierarchy {
    var places: [String: Int] = [:]
    for (place, name) in classes.enumerated() { places[name] = place }
    func indices(_ groups: [ClassSplits.Group]) -> [[Int]] {
      groups.map { $0.classes.compactMap { places[$0] } }.filter { !$0.isEmpty }
    }
    return switch self {
    case .groups(let groups): .groups(indices(groups))
    case .nodes(let nodes): .nodes(indices(nodes))
    }
  }
}

/// Images for few-shot episodes: a tree `root/dataset/class/image`.
public typealias FewShotFolder = FewShotDataset<DomainFolder>
/// Texts for few-shot episodes: a folder as `TextFolder` reads it, each domain a data set.
public typealias FewShotTexts = FewShotDataset<TextFolder>

extension FewShotDataset<DomainFolder> {
  /// - Throws: as `init(_:drawing:seed:)`; `DomainFolderError`.
  public init(
    at root: URL, symbolicLinks: DomainFolder.Options.SymbolicLinks = .insideRoot,
    drawing fractions: ClassFractions = .usual, seed: UInt64 = 0
  ) throws {
    let options = DomainFolder.Options(allowsMissingClasses: true, symbolicLinks: symbolicLinks)
    let folder = try DomainFolder(at: root, options: options)
    // What is read after all is no file to wonder about.
    let ignored = folder.ignoredFiles.filter { ($0.path as NSString).lastPathComponent != Self.fileName }
    try self.init(
      DomainFolder(
        root: root, domains: folder.domains, classes: folder.classes, samples: folder.samples, ignoredFiles: ignored,
        ranges: folder.ranges),
      drawing: fractions, seed: seed)
  }

  public var folder: DomainFolder { dataset }
}
