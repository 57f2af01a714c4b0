import Foundation
import Testing

@testable import Datasets

/// On the real texts of `scripts/fetch text-domains`.
@Suite(.enabled(if: FetchedData.has("text-domains"), "run scripts/fetch text-domains"))
struct EndToEndTextFolderTests {

  private func counts(_ folder: TextFolder) -> [[Int]] {
    folder.domains.indices.map { domain in
      folder.classes.indices.map { label in folder.samples(inDomain: domain).count { $0.label == label } }
    }
  }

  @Test func `the four domains of sentiment have the published numbers of clear sentences`() throws {
    let folder = try TextFolder(at: FetchedData.folder("sentiment"))
    #expect(folder.domains == ["amazon", "movie", "nyt", "tweets"] && folder.classes == ["negative", "positive"])
    #expect(counts(folder) == [[1235, 1750], [5076, 4996], [1783, 1187], [1087, 2345]])
    #expect(folder.samples[0].text == "troubleshooting ad-2500 and ad-2600 no picture scrolling b/w.")
    #expect(folder.ignoredFiles.map(\.path) == ["README.md", "manifest.json"] && folder.badLines.isEmpty)
  }

  @Test func `ten domains have classes of their own, and no text of a test part is in training`() throws {
    let tasks = try TextFolder.tasks(at: FetchedData.folder("text-domains"))
    #expect(
      tasks.flatMap(\.domains)
        == ["amazon", "bbc", "comp", "movie", "nyt", "rec", "reuters", "sci", "talk", "tweets"])
    #expect(tasks.map(\.classes.count) == [2, 5, 5, 2, 2, 4, 8, 4, 4, 2])
    #expect(tasks.reduce(0) { $0 + $1.samples.count } == 45_152)
    for task in tasks {
      let split = try task.split(ofDomain: 0)
      let parts = [split.training, split.validation, split.test]
      #expect(parts.reduce(0) { $0 + $1.count } == task.samples.count)
      let texts = parts.map { Set($0.map { task.samples[$0].text }) }
      #expect(texts[2].isDisjoint(with: texts[0].union(texts[1])))
    }
  }
}

/// Where `scripts/fetch` puts data.
enum FetchedData {
  static func folder(_ name: String) -> URL {
    let variables = ProcessInfo.processInfo.environment
    let caches =
      variables["XDG_CACHE_HOME"].map { URL(fileURLWithPath: $0) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".cache")
    let root = variables["GRAFT_CACHE"].map { URL(fileURLWithPath: $0) } ?? caches.appending(path: "graft")
    return root.appending(path: "data/\(name)")
  }

  static func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: folder(name).path) }
}
