import Foundation
import Testing

@testable import Datasets

@Suite struct TextSplitTests {
  /// Per part, how many samples each class has.
  private func makeFolder(_ parts: [(part: TextFolder.Part?, counts: [Int])], domain: String = "d") -> TextFolder {
    var samples: [TextFolder.Sample] = []
    for (part, counts) in parts {
      for (label, count) in counts.enumerated() {
        samples += (0..<count).map { line in
          TextFolder.Sample(
            text: "\(label) \(line)", secondText: nil, domain: 0, label: label, part: part, file: "d.jsonl", line: line)
        }
      }
    }
    return TextFolder(
      root: URL(fileURLWithPath: "/nowhere"), domains: [domain], classes: ["a", "b", "c"], samples: samples,
      ranges: [0..<samples.count], badLines: [], ignoredFiles: [])
  }

  private func counts(_ indices: [Int], _ folder: TextFolder) -> [Int] {
    folder.classes.indices.map { label in indices.count { folder.samples[$0].label == label } }
  }

  @Test func `an undivided domain is cut in the proportions of its classes, every sample once`() throws {
    let folder = makeFolder([(nil, [100, 50, 10])])
    let split = try folder.split(ofDomain: 0)
    #expect(counts(split.test, folder) == [20, 10, 2])
    // A tenth of the other 128, rounded.
    #expect(counts(split.validation, folder) == [8, 4, 1])
    #expect((split.training + split.validation + split.test).sorted() == Array(0..<160))
    #expect(split.training == split.training.sorted() && split.test == split.test.sorted())
  }

  @Test func `the seed and the domain's name decide, and nothing else`() throws {
    let folder = makeFolder([(nil, [40, 40, 40])])
    let split = try folder.split(ofDomain: 0, .init(seed: 5))
    #expect(try folder.split(ofDomain: 0, .init(seed: 5)) == split)
    #expect(try folder.split(ofDomain: 0, .init(seed: 6)).test != split.test)
    #expect(try makeFolder([(nil, [40, 40, 40])], domain: "e").split(ofDomain: 0, .init(seed: 5)).test != split.test)
  }

  @Test func `parts that a domain comes with are kept`() throws {
    let folder = makeFolder([(.train, [10, 10, 10]), (.validation, [1, 2, 3]), (.test, [4, 4, 4])])
    let split = try folder.split(ofDomain: 0)
    #expect(split.training == Array(0..<30) && split.validation == Array(30..<36) && split.test == Array(36..<48))
    let partly = makeFolder([(.train, [10, 10, 10]), (.test, [4, 4, 4])])
    let drawn = try partly.split(ofDomain: 0)
    #expect(drawn.test == Array(30..<42) && counts(drawn.validation, partly) == [1, 1, 1])
    #expect((drawn.training + drawn.validation).sorted() == Array(0..<30))
  }

  @Test func `limits keep the proportions, and a smaller one a subset`() throws {
    let folder = makeFolder([(nil, [400, 200, 200])])
    let large = try folder.split(ofDomain: 0, .init(largestTraining: 80, largestTest: 40))
    #expect(counts(large.training, folder) == [40, 20, 20] && counts(large.test, folder) == [20, 10, 10])
    #expect(large.validation.count == 64)
    let small = try folder.split(ofDomain: 0, .init(largestTraining: 8))
    #expect(counts(small.training, folder) == [4, 2, 2] && Set(small.training).isSubset(of: large.training))
  }

  @Test func `a part that nothing is left for is refused, and so are shares that are none`() throws {
    #expect(throws: TextFolderError.emptyPart("validation", domain: "d", samples: 3)) {
      try makeFolder([(nil, [2, 1, 0])]).split(ofDomain: 0)
    }
    #expect(throws: TextFolderError.emptyPart("training", domain: "d", samples: 5)) {
      try makeFolder([(.test, [2, 3, 0])]).split(ofDomain: 0)
    }
    let folder = makeFolder([(nil, [9, 9, 9])])
    for options in [
      TextSplit.Options(test: 1), .init(test: -0.1), .init(validation: .nan), .init(largestTraining: 0),
      .init(largestTest: -1),
    ] {
      #expect(throws: TextFolderError.splitOptions) { try folder.split(ofDomain: 0, options) }
    }
  }
}
