import Formats
import Foundation

/// Data sets as Meta-Dataset's converter leaves them: `root/dataset/` with `dataset_spec.json` and `0.tfrecords`,
/// `1.tfrecords`, …
///
/// Images are read from the records in place. Every file's records are counted, and their lengths checked, when the
/// folder is opened; images are checked when they are read.
public struct MetaDatasetFolder: Sendable {
  /// In the order of the data sets, which is that of their folders' names.
  public let specifications: [MetaDatasetSpecification]
  /// The images' places, domain by domain: what `ImageExamples` takes together with `images`.
  public let datasets: FewShotFolder
  public let images: RecordImages

  public var folder: DomainFolder { datasets.folder }

  /// - Parameter names: the folders of the data sets to open; nil for all.
  /// - Throws: `MetaDatasetError`; `TFRecordError` with file and offset; `FileError` where a class's file is missing;
  ///   `JSONFileError`; `DomainFolderError` where the root cannot be listed.
  public init(at root: URL, named names: [String]? = nil, decoder: ImageDecoder = ImageDecoder()) throws {
    var reader = DomainFolderReader(root: root, options: .init())
    let found = try reader.folders(in: "", ignoring: "not in a data set's folder").filter { name in
      let file = root.appendingPathComponent(name).appendingPathComponent(MetaDatasetSpecification.fileName)
      if FileManager.default.fileExists(atPath: file.path) { return true }
      reader.ignore(name, "has no \(MetaDatasetSpecification.fileName)")
      return false
    }
    guard !found.isEmpty else { throw MetaDatasetError.noDatasets(root: root.path) }
    for name in names ?? [] where !found.contains(name) {
      throw MetaDatasetError.unknownDataset(
        name, known: found, suggestion: Suggestion.didYouMean(name, among: found))
    }
    let domains = found.filter { names?.contains($0) ?? true }
    let specifications = try domains.map { name in
      try MetaDatasetSpecification(
        contentsOf: root.appendingPathComponent(name).appendingPathComponent(MetaDatasetSpecification.fileName))
    }
    let classes = DomainFolderReader.byCodePoint(Set(specifications.flatMap { $0.classes.map(\.name) }))
    var labels: [String: Int] = [:]
    for (label, name) in classes.enumerated() { labels[name] = label }

    var samples: [DomainFolder.Sample] = []
    var ranges: [Range<Int>] = []
    var files: [RecordImages.File] = []
    for (domain, specification) in specifications.enumerated() {
      let start = samples.count
      let byLabel = specification.classes.sorted { labels[$0.name] ?? 0 < labels[$1.name] ?? 0 }
      for own in byLabel {
        let path = "\(domains[domain])/\(own.fileName)"
        let records = try TFRecordFile(at: root.appendingPathComponent(path).path)
        guard records.records.count == own.images else {
          throw MetaDatasetError.wrongCount(
            file: records.path, className: own.name, expected: own.images, found: records.records.count)
        }
        files.append(.init(records: records, label: own.id))
        samples += records.records.map { record in
          DomainFolder.Sample(path: "\(path)#\(record.offset)", domain: domain, label: labels[own.name] ?? 0)
        }
      }
      ranges.append(start..<samples.count)
    }
    let folder = DomainFolder(
      root: root, domains: domains, classes: classes, samples: samples, ignoredFiles: reader.ignored, ranges: ranges)
    self.specifications = specifications
    images = RecordImages(files, decoder: decoder)
    datasets = FewShotFolder(
      folder,
      splits: zip(domains, specifications).map { name, specification in
        ClassSplits(
          dataset: name, classes: specification.classes.map(\.name),
          splits: Dictionary(grouping: specification.classes, by: \.split).mapValues { $0.map(\.name) },
          hierarchy: specification.hierarchy,
          origin: .file(
            root.appendingPathComponent(name).appendingPathComponent(MetaDatasetSpecification.fileName).path))
      })
  }

  /// As `FewShotDataset.pools`.
  public func pools(
    _ split: ClassSplit, named names: [String]? = nil, usable: (Int) -> Bool = { _ in true }
  ) throws(FewShotError) -> [EpisodePool] {
    try datasets.pools(split, named: names, usable: usable)
  }
}
