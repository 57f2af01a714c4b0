import Testing

@testable import MetaTuning

@Suite struct EpisodeTesterTests {
  @Test func `folds hold every example out once, but for one that is alone, and never all of a class`() {
    // Class 2 has a single example.
    let labels = [0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3]
    let folds = EpisodeTester.folds(of: labels, ways: 4, count: 3, seed: 5)
    #expect(folds.count == 3)
    #expect(folds.flatMap { $0 }.sorted() == labels.indices.filter { labels[$0] != 2 })
    for fold in folds {
      #expect((3...5).contains(fold.count))
      for label in 0..<4 {
        let left = labels.indices.filter { labels[$0] == label && !fold.contains($0) }
        #expect(!left.isEmpty)
      }
    }
    #expect(EpisodeTester.folds(of: labels, ways: 4, count: 3, seed: 6) != folds)
  }

  @Test func `one example of each class leaves nothing to hold out`() {
    #expect(EpisodeTester.folds(of: [0, 1, 2], ways: 3, count: 5, seed: 1).isEmpty)
    #expect(EpisodeTester.folds(of: [0, 0, 1], ways: 2, count: 5, seed: 1).map(\.count) == [1, 1])
  }

  @Test func `the best rate has the highest sum, and of equals it is the smallest`() {
    var choice = RateChoice([0, 1e-3, 1e-2])
    choice.add([0.5, 0.75, 0.25])
    choice.add([0.5, 0.25, 0.75])
    #expect(choice.best == 0)
    choice.add([0.1, 0.3, 0.3])
    #expect(choice.best == 1e-3)
  }
}
