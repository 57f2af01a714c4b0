import Foundation
import Testing

@testable import Datasets

/// On the real data sets of `scripts/fetch few-shot`.
@Suite(.enabled(if: FetchedData.has("few-shot"), "run scripts/fetch few-shot"))
struct EndToEndFewShotFolderTests {
  @Test func `six data sets are divided as their file has them, and every class is in a split`() throws {
    let data = try FewShotFolder(at: FetchedData.folder("few-shot"))
    #expect(data.folder.domains == ["digits", "emoji", "fashion", "latin", "scripts", "symbols"])
    #expect(data.splits.map(\.training.count) == [0, 374, 5, 25, 313, 367])
    #expect(data.splits.map(\.validation.count) == [0, 62, 0, 5, 55, 61])
    #expect(data.splits.map(\.test.count) == [10, 188, 5, 12, 152, 184])
    #expect(data.splits.allSatisfy { $0.unassigned == [] })
    #expect(data.folder.samples.count == 26_288)
    #expect(data.folder.ignoredFiles.map(\.path) == ["manifest.json"])
  }

  @Test func `episodes of every split can be drawn, within one script each`() throws {
    let data = try FewShotFolder(at: FetchedData.folder("few-shot"))
    guard case .groups(let scripts) = data.splits[4].hierarchy else {
      Issue.record("scripts are groups")
      return
    }
    for split in ClassSplit.allCases {
      let sampler = try EpisodeSampler(data.pools(split), settings: .metaDataset, seed: 1)
      #expect(sampler.leftOut.isEmpty)
      for number in 0..<200 {
        let episode = sampler.episode(number)
        let pool = sampler.pools[episode.pool]
        let names = episode.classes.map { pool.classes[$0].name }
        #expect(pool.name != "scripts" || scripts.contains { Set($0.classes).isSuperset(of: names) })
        for (label, examples) in zip(episode.classes, episode.support) {
          let paths = examples.map { data.folder.samples[$0].path }
          #expect(paths.allSatisfy { $0.hasPrefix("\(pool.name)/\(pool.classes[label].name)/") })
        }
      }
    }
  }

  @Test func `pictures are 56 pixels wide and none are the same in one class`() async throws {
    let data = try FewShotFolder(at: FetchedData.folder("few-shot"))
    let scan = try await ImageScan(of: data.folder)
    #expect(scan.sides == 56...56 && scan.badImages.isEmpty)
    let latin = try data.pools(.test, named: ["latin"])[0]
    for own in latin.classes {
      let files = try own.examples.map {
        try Data(contentsOf: URL(fileURLWithPath: data.folder.path(of: data.folder.samples[$0])))
      }
      #expect(Set(files).count == 50)
    }
  }
}
