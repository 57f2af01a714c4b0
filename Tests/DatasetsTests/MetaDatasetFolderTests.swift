import Formats
import Foundation
import Testing

@testable import Datasets

@Suite struct MetaDatasetFolderTests {
  private static let root = Fixtures.folder.appending(path: "meta-dataset")

  /// A copy of the fixture, to be damaged.
  private func copy() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for name in ["aircraft", "omniglot", "ilsvrc_2012"] {
      try FileManager.default.copyItem(at: Self.root.appending(path: name), to: folder.url.appending(path: name))
    }
    return folder
  }

  private func names(_ pools: [EpisodePool]) -> [String: [String]] {
    Dictionary(uniqueKeysWithValues: pools.map { ($0.name, $0.classes.map(\.name)) })
  }

  @Test func `classes are divided as the specifications have them`() throws {
    let data = try MetaDatasetFolder(at: Self.root)
    #expect(data.folder.domains == ["aircraft", "ilsvrc_2012", "omniglot"])
    #expect(
      names(try data.pools(.training)) == [
        "aircraft": ["An-12", "F-16A/B"], "ilsvrc_2012": ["n11", "n12", "n13"],
        "omniglot": [
          "Arcadian-character01", "Arcadian-character02", "Braille-character01", "Braille-character02",
          "Braille-character03",
        ],
      ])
    #expect(names(try data.pools(.validation)) == ["aircraft": ["DC-6"], "ilsvrc_2012": ["n14"]])
    #expect(try data.pools(.test, named: ["aircraft"])[0].classes.map(\.name) == ["A318", "Tu-134"])
    #expect(data.datasets.splits.allSatisfy { $0.unassigned == [] })
    #expect(data.specifications.map { $0.classes.map(\.id) } == [Array(0..<5), Array(0..<6), Array(0..<7)])
  }

  @Test func `superclasses are groups and inner nodes are nodes, within a split`() throws {
    let data = try MetaDatasetFolder(at: Self.root)
    func hierarchy(_ name: String, _ split: ClassSplit) throws -> ClassHierarchy? {
      try data.pools(split, named: [name])[0].hierarchy
    }
    #expect(try hierarchy("omniglot", .training) == .groups([[0, 1], [2, 3, 4]]))
    #expect(try hierarchy("omniglot", .test) == .groups([[0, 1]]))
    #expect(try hierarchy("aircraft", .training) == nil)
    guard case .nodes(let training) = try hierarchy("ilsvrc_2012", .training),
      case .nodes(let test) = try hierarchy("ilsvrc_2012", .test)
    else {
      Issue.record("ImageNet has nodes")
      return
    }
    // n0 and n1 span all three, n2 the last two: once each, though two ways lead to it.
    #expect(training.map { $0.sorted() } == [[0, 1, 2], [0, 1, 2], [1, 2]])
    #expect(test.map { $0.sorted() } == [[0, 1]])
  }

  @Test func `every image is the one that its place names`() throws {
    let data = try MetaDatasetFolder(at: Self.root)
    #expect(data.images.count == data.folder.samples.count && data.folder.samples.count == 14 + 10 + 14)
    let order = ["aircraft": 0, "omniglot": 1, "ilsvrc_2012": 2]
    for split in ClassSplit.allCases {
      for pool in try data.pools(split) {
        let specification = try #require(data.specifications.first { $0.name == pool.name })
        for own in pool.classes {
          let id = try #require(specification.classes.first { $0.name == own.name }?.id)
          for (place, index) in own.examples.enumerated() {
            let image = try data.images.image(at: index)
            let colour = [60 + 60 * (order[pool.name] ?? 9), 1 + 10 * id, 5 + 30 * place].map(UInt8.init)
            #expect(
              image.width == 3 && image.height == 2
                && Array(image.pixels) == Array(repeating: colour, count: 6).flatMap { $0 })
            #expect(data.folder.classes[data.folder.samples[index].label] == own.name)
          }
        }
      }
    }
    // As in every folder: domain after domain, class after class.
    for range in data.folder.ranges {
      let labels = data.folder.samples[range].map(\.label)
      #expect(labels == labels.sorted())
    }
    #expect(throws: ImageSourceError.noImage(38, count: 38)) { try data.images.image(at: 38) }
  }

  @Test func `only the named data sets are read, and folders without a specification are listed`() throws {
    let folder = try copy()
    try folder.makeFolder("notes")
    try Data("{".utf8).write(to: folder.url.appending(path: "omniglot/dataset_spec.json"))
    let data = try MetaDatasetFolder(at: folder.url, named: ["aircraft"])
    #expect(data.folder.domains == ["aircraft"] && data.images.count == 14)
    #expect(data.folder.ignoredFiles.map(\.description) == ["notes: has no dataset_spec.json"])
    #expect(throws: JSONFileError.self) { try MetaDatasetFolder(at: folder.url) }
    let error = #expect(throws: MetaDatasetError.self) { try MetaDatasetFolder(at: folder.url, named: ["aircrafts"]) }
    #expect(error?.description.contains("Did you mean 'aircraft'?") == true)
    let empty = try TemporaryFolder()
    #expect(throws: MetaDatasetError.noDatasets(root: empty.url.path)) { try MetaDatasetFolder(at: empty.url) }
  }

  @Test func `missing, short and damaged files of records are named with the place of the damage`() throws {
    let folder = try copy()
    let file = folder.url.appending(path: "aircraft/3.tfrecords")
    let good = try Data(contentsOf: file)
    func open() throws -> MetaDatasetFolder { try MetaDatasetFolder(at: folder.url, named: ["aircraft"]) }

    try FileManager.default.removeItem(at: file)
    #expect(throws: FileError("read", file.path, code: ENOENT)) { try open() }

    let first = try TFRecordFile(at: Self.root.appending(path: "aircraft/3.tfrecords").path).records[0]
    let second = first.offset + first.length + 4
    try good[..<second].write(to: file)
    #expect(throws: MetaDatasetError.wrongCount(file: file.path, className: "Tu-134", expected: 2, found: 1)) {
      try open()
    }
    try good.dropLast().write(to: file)
    #expect(throws: TFRecordError.truncated(path: file.path, offset: second, size: good.count - 1)) { try open() }

    var damaged = good
    damaged[first.offset + 20] ^= 4
    try damaged.write(to: file)
    let data = try open()
    let index = try #require(try data.pools(.test)[0].classes.first { $0.name == "Tu-134" }?.examples.first)
    #expect(throws: TFRecordError.wrongChecksum(path: file.path, offset: first.offset, length: first.length)) {
      try data.images.image(at: index)
    }
    #expect(try data.images.image(at: index + 1).width == 3)

    // The file of another class, sound in itself.
    try FileManager.default.removeItem(at: file)
    try FileManager.default.copyItem(at: folder.url.appending(path: "aircraft/1.tfrecords"), to: file)
    #expect(throws: MetaDatasetError.wrongLabel(file: file.path, offset: first.offset, expected: 3, found: 1)) {
      try open().images.image(at: index)
    }
  }

  @Test func `records that are no examples, or lack an image, are refused`() throws {
    let folder = try copy()
    let file = folder.url.appending(path: "aircraft/1.tfrecords")
    func little(_ number: Int, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
    func record(_ data: [UInt8]) -> [UInt8] {
      let header = little(data.count, 8)
      return header + little(Int(CRC32C.masked(header)), 4) + data + little(Int(CRC32C.masked(data)), 4)
    }
    let label: [UInt8] = [0x0A, 0x10, 0x0A, 0x0E, 0x0A, 5] + Array("label".utf8) + [0x12, 5, 0x1A, 3, 0x0A, 1, 1]
    try Data(record([0x0A, 9, 1]) + record(label)).write(to: file)
    let data = try MetaDatasetFolder(at: folder.url, named: ["aircraft"])
    let indices = try #require(try data.pools(.training)[0].classes.first { $0.name == "An-12" }?.examples)
    #expect(
      throws: TFRecordError.notAnExample(
        path: file.path, offset: 13, problem: "a field of 9 bytes does not fit in the 1 left")
    ) { try data.images.image(at: indices[0]) }
    #expect(throws: MetaDatasetError.feature("image", file: file.path, offset: 31, found: "nothing")) {
      try data.images.image(at: indices[1])
    }
  }
}
