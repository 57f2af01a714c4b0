import Foundation
import Testing

@testable import Datasets

@Suite struct DomainFolderTests {
  /// Empty files: listing opens none.
  private func makeFolder(_ paths: [String]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for path in paths { try folder.write([], path) }
    return folder
  }

  private let small = [
    "photo/cat/b.jpg", "photo/cat/a.PNG", "photo/dog/c.webp", "sketch/cat/d.jpeg", "sketch/dog/e.png",
  ]

  @Test func `domains, classes and samples are sorted, labels and domains numbered`() throws {
    let folder = try makeFolder(small)
    let data = try DomainFolder(at: folder.url)
    #expect(data.domains == ["photo", "sketch"])
    #expect(data.classes == ["cat", "dog"])
    let paths = ["photo/cat/a.PNG", "photo/cat/b.jpg", "photo/dog/c.webp", "sketch/cat/d.jpeg", "sketch/dog/e.png"]
    #expect(data.samples.map(\.path) == paths)
    #expect(data.samples.map(\.domain) == [0, 0, 0, 1, 1])
    #expect(data.samples.map(\.label) == [0, 0, 1, 0, 1])
    #expect(data.ranges == [0..<3, 3..<5])
    #expect(data.ignoredFiles.isEmpty)
    #expect(data.path(of: data.samples[0]) == folder.url.path + "/photo/cat/a.PNG")
  }

  @Test func `a few of each class are drawn in each domain, the same for the same seed`() throws {
    let names = ["photo", "sketch"].flatMap { domain in
      ["cat", "dog"].flatMap { label in (0..<(label == "cat" ? 20 : 2)).map { "\(domain)/\(label)/\($0).png" } }
    }
    let folder = try makeFolder(names)
    let data = try DomainFolder(at: folder.url)
    let few = data.drawing(perClass: 5, seed: 1)
    #expect(few.ranges == [0..<7, 7..<14])
    #expect(few.samples.map(\.label) == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1])
    #expect(few.samples.map(\.domain) == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    #expect(few == data.drawing(perClass: 5, seed: 1))
    #expect(few != data.drawing(perClass: 5, seed: 2))
    // Each domain has its own draw, and a smaller one is part of a larger one.
    func cats(_ folder: DomainFolder, _ domain: Int) -> Set<String> {
      Set(
        folder.samples(inDomain: domain).filter { $0.label == 0 }.compactMap {
          $0.path.split(separator: "/").last.map(String.init)
        })
    }
    #expect(cats(few, 0) != cats(few, 1))
    #expect(cats(data.drawing(perClass: 3, seed: 1), 0).isSubset(of: cats(few, 0)))
    #expect(data.drawing(perClass: 100, seed: 1) == data)
  }

  @Test func `names sort by code point, whatever the locale`() throws {
    let names = ["location_38", "location_100", "Zebra", "apple", "Äpfel", "z", "🜀", "ﬀ"]
    let folder = try makeFolder(names.map { "\($0)/c/x.png" })
    let expected = ["Zebra", "apple", "location_100", "location_38", "z", "Äpfel", "ﬀ", "🜀"]
    #expect(try DomainFolder(at: folder.url).domains == expected)
  }

  @Test func `what is not used is listed with the reason`() throws {
    let folder = try makeFolder(
      small + [
        "index.csv", ".DS_Store", "photo/notes.txt", "photo/cat/.hidden.png", "photo/cat/x.gif", "photo/cat/README",
        "photo/cat/deeper/y.png", "photo/cat/png",
      ])
    let data = try DomainFolder(at: folder.url)
    #expect(data.samples.count == 5)
    #expect(
      data.ignoredFiles.map(\.description) == [
        ".DS_Store: hidden",
        "index.csv: not in a domain folder",
        "photo/notes.txt: not in a class folder",
        "photo/cat/.hidden.png: hidden",
        "photo/cat/README: its name does not end in .jpg, .jpeg, .png or .webp",
        "photo/cat/deeper: a folder inside a class folder",
        "photo/cat/png: its name does not end in .jpg, .jpeg, .png or .webp",
        "photo/cat/x.gif: its name does not end in .jpg, .jpeg, .png or .webp",
      ])
  }

  @Test func `a class that a domain lacks is an error that lists every difference`() throws {
    let folder = try makeFolder(small + ["photo/owl/x.png", "sketch/yak/x.png"])
    let error = #expect(throws: DomainFolderError.self) { try DomainFolder(at: folder.url) }
    #expect(
      error
        == .classesDiffer(
          [.init(domain: "photo", missing: ["yak"]), .init(domain: "sketch", missing: ["owl"])], root: folder.url.path))
    #expect(error?.description.contains("'photo' lacks 'yak'; 'sketch' lacks 'owl'") == true)
  }

  @Test func `missing and empty classes can be allowed, and labels stay those of all classes`() throws {
    let folder = try makeFolder(["photo/cat/a.png", "photo/dog/b.png", "sketch/dog/c.png"])
    try folder.makeFolder("sketch/cat")
    let data = try DomainFolder(at: folder.url, options: .init(allowsMissingClasses: true))
    #expect(data.classes == ["cat", "dog"])
    #expect(data.samples(inDomain: 1).map(\.label) == [1])
  }

  @Test func `an empty class is an error`() throws {
    let folder = try makeFolder(["photo/cat/a.png", "sketch/cat/notes.txt"])
    let error = #expect(throws: DomainFolderError.self) { try DomainFolder(at: folder.url) }
    #expect(error == .emptyClass("cat", domain: "sketch", ignored: 1, root: folder.url.path))
  }

  @Test func `a missing folder, a file and an empty folder are told apart`() throws {
    let folder = try makeFolder(["file"])
    let missing = folder.url.appending(path: "none")
    #expect(throws: DomainFolderError.missing(root: missing.path)) { try DomainFolder(at: missing) }
    let file = folder.url.appending(path: "file")
    #expect(throws: DomainFolderError.notAFolder(root: file.path)) { try DomainFolder(at: file) }
    #expect(throws: DomainFolderError.noDomains(root: folder.url.path)) { try DomainFolder(at: folder.url) }
    try folder.makeFolder("photo")
    #expect(throws: DomainFolderError.noClasses(domain: "photo", root: folder.url.path)) {
      try DomainFolder(at: folder.url)
    }
  }

  @Test func `a link inside the root is followed, one that leaves it is refused unless allowed`() throws {
    let outside = try makeFolder(["z.png"])
    let folder = try makeFolder(small)
    let manager = FileManager.default
    try manager.createSymbolicLink(
      atPath: folder.url.path + "/photo/cat/inner.png", withDestinationPath: "../dog/c.webp")
    try manager.createSymbolicLink(atPath: folder.url.path + "/photo/cat/nowhere.png", withDestinationPath: "gone")
    let data = try DomainFolder(at: folder.url)
    #expect(data.samples.map(\.path).contains("photo/cat/inner.png"))
    #expect(data.ignoredFiles.map(\.description) == ["photo/cat/nowhere.png: a symbolic link to nothing"])

    let link = folder.url.path + "/photo/cat/outer.png"
    try manager.createSymbolicLink(atPath: link, withDestinationPath: outside.url.path + "/z.png")
    let error = #expect(throws: DomainFolderError.self) { try DomainFolder(at: folder.url) }
    guard case .linkLeavesRoot(let path, let destination, _) = error else {
      Issue.record("expected linkLeavesRoot, got \(String(describing: error))")
      return
    }
    #expect(path == link && destination.hasSuffix("/z.png"))
    let all = try DomainFolder(at: folder.url, options: .init(symbolicLinks: .anywhere))
    #expect(all.samples.map(\.path).contains("photo/cat/outer.png"))
  }

  @Test func `leaving a domain out names sources and target`() throws {
    let folder = try makeFolder(small + ["art/cat/x.png", "art/dog/y.png"])
    let data = try DomainFolder(at: folder.url)
    let task = try data.leavingOut("photo")
    #expect(task.targetName == "photo" && task.sourceNames == ["art", "sketch"] && task.sources == [0, 2])
  }

  @Test func `an unknown domain is an error that suggests the nearest`() throws {
    let folder = try makeFolder(small)
    let data = try DomainFolder(at: folder.url)
    let error = #expect(throws: DomainDatasetError.self) { try data.leavingOut("skecth") }
    #expect(error == .unknownDomain("skecth", known: ["photo", "sketch"], nearest: "sketch"))
    #expect(error?.description.contains("Did you mean 'sketch'?") == true)
    #expect(throws: DomainDatasetError.unknownDomain("moon", known: ["photo", "sketch"], nearest: nil)) {
      try data.selecting(["photo", "moon"])
    }
  }

  @Test func `a selection is numbered anew in sorted order`() throws {
    let folder = try makeFolder(small + ["art/cat/x.png", "art/dog/y.png"])
    let data = try DomainFolder(at: folder.url).selecting(["sketch", "art"])
    #expect(data.domains == ["art", "sketch"] && data.classes == ["cat", "dog"])
    #expect(data.samples.map(\.path) == ["art/cat/x.png", "art/dog/y.png", "sketch/cat/d.jpeg", "sketch/dog/e.png"])
    #expect(data.samples.map(\.domain) == [0, 0, 1, 1] && data.ranges == [0..<2, 2..<4])
    let alone = try data.selecting(["art"])
    #expect(throws: DomainDatasetError.noSourceDomain(target: "art", root: folder.url.path)) {
      try alone.leavingOut("art")
    }
  }

  @Test func `a split is in indices of the whole folder and depends on the domain's own place`() throws {
    let folder = try makeFolder((0..<20).flatMap { ["a/c/\($0).png", "b/c/\($0).png"] })
    let task = try DomainFolder(at: folder.url).leavingOut("a")
    let expected = DomainSplit(count: 20, domainIndex: 1, trialSeed: 3)
    let split = task.split(ofDomain: 1, trialSeed: 3)
    #expect(split.out == expected.out.map { $0 + 20 } && split.in == expected.in.map { $0 + 20 })
    #expect(split.out.count == 4)
    #expect(task.split(ofDomain: 9, trialSeed: 0).in.isEmpty)
  }
}
