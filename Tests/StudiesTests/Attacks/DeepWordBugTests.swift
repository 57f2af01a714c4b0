import Datasets
import Synchronization
import Testing

@testable import Studies

@Suite struct DeepWordBugTests {
  /// Positive in proportion to the words it knows: `good` 0.4 and `fine` 0.1 above 0.3.
  private let classifier: AttackedClassifier = { texts in
    texts.map { text in
      let words = AttackedText(text).words
      let positive = 0.3 + (words.contains("good") ? 0.4 : 0) + (words.contains("fine") ? 0.1 : 0)
      return [1 - positive, positive]
    }
  }

  @Test func `the word that matters most is misspelt first, and that is enough`() throws {
    let outcome = try DeepWordBug().attack(classifier, text: "a fine and good film", label: 1, queries: 100)
    #expect(outcome.result == .succeeded)
    #expect(outcome.changes.map(\.place) == [3])
    #expect(outcome.changes.first?.before == "good")
    #expect(!outcome.text.contains("good") && outcome.text.hasPrefix("a fine and "))
    // The text, four words of two letters or more, and the four misspellings of one of them.
    #expect(outcome.queries == 9)
    #expect(outcome.words == 5)
  }

  @Test func `a word that is scored gives way to the unknown token, or to nothing`() throws {
    let asked = Mutex<[String]>([])
    for unknown in ["<unk>", nil] {
      var attack = DeepWordBug()
      attack.unknown = unknown
      _ = try attack.attack(
        { texts in
          asked.withLock { $0 += texts }
          return texts.map { _ in [0, 1] }
        }, text: "fine film", label: 1, queries: 3)
    }
    #expect(asked.withLock(\.self) == ["fine film", "<unk> film", "fine <unk>", "fine film", " film", "fine "])
  }

  @Test func `the combined score finds the same word`() throws {
    var attack = DeepWordBug()
    attack.scoring = .combined(1)
    let outcome = try attack.attack(classifier, text: "a fine and good film", label: 1, queries: 100)
    #expect(outcome.changes.map(\.before) == ["good"])
    // The text, six heads, six tails, four misspellings.
    #expect(outcome.queries == 17)
  }

  @Test func `a text that is wrong already is left alone`() throws {
    let outcome = try DeepWordBug().attack(classifier, text: "a dull film", label: 1, queries: 100)
    #expect(outcome.result == .wrongAlready)
    #expect(outcome.queries == 1)
    #expect(outcome.text == "a dull film")
  }

  @Test func `a classifier that looks at nothing withstands`() throws {
    let outcome = try DeepWordBug().attack({ $0.map { _ in [0, 1] } }, text: "good film", label: 1, queries: 100)
    #expect(outcome.result == .withstood)
    #expect(outcome.changes.isEmpty)
  }

  @Test func `budgets of queries and of letters hold`() throws {
    let small = try DeepWordBug().attack(classifier, text: "a fine and good film", label: 1, queries: 5)
    #expect(small.queries == 5)
    #expect(small.result == .withstood)
    // A falling probability at every change, and never a wrong answer: only the budget ends it.
    var asked = 0.0
    let outcome = try DeepWordBug(edits: 3).attack(
      { texts in
        texts.map { _ in
          asked += 1
          return [0, 1 - asked * 1e-6]
        }
      }, text: "several long words stand here", label: 1, queries: 1_000)
    #expect(outcome.result == .withstood)
    #expect((2...3).contains(outcome.changes.count))
  }

  @Test func `the same seed misspells alike`() throws {
    func text(_ seed: UInt64) throws -> String {
      try DeepWordBug(seed: seed).attack(classifier, text: "a good film", label: 1, queries: 100).text
    }
    #expect(try text(1) == text(1))
    #expect(try Set((0..<8).map(text)).count > 1)
  }

  @Test func `a word is changed by one letter`() {
    var generator = Xoshiro256(seed: 3)
    for bug in DeepWordBug().bugs(in: "film", &generator) {
      #expect((3...5).contains(bug.word.count) && bug.word != "film")
      #expect(bug.cost == (bug.word.sorted() == "film".sorted() ? 2 : 1))
    }
    #expect(DeepWordBug().bugs(in: "a", &generator).isEmpty)
  }
}
