import Testing

@testable import Studies

@Suite struct PWWSTests {
  /// The sum of words' weights above 0.2, of the class 1.
  private func classifier(_ weights: [String: Double]) -> AttackedClassifier {
    { texts in
      texts.map { text in
        let positive = 0.2 + AttackedText(text).words.reduce(0) { $0 + (weights[$1] ?? 0) }
        return [1 - positive, positive]
      }
    }
  }

  private let synonyms = ["good": ["nice", "sound"], "film": ["movie"], "very": ["really"]]
  private var attack: PWWS { PWWS(source: "test") { [synonyms] in synonyms[$0] ?? [] } }

  @Test func `synonyms are put in by saliency times what they gain`() throws {
    // 0.2 + 0.3 + 0.2 = 0.7. Neither change alone makes it wrong: 'sound' loses 0.15, 'movie' 0.1.
    let weights = ["good": 0.3, "film": 0.2, "nice": 0.25, "sound": 0.15, "movie": 0.1]
    let outcome = try attack.attack(classifier(weights), text: "a very good film", label: 1, queries: 100)
    #expect(outcome.result == .succeeded)
    #expect(outcome.text == "a very sound movie")
    #expect(outcome.changes.map(\.after) == ["sound", "movie"])
    // The text, three words that have synonyms, their four synonyms, two replacements.
    #expect(outcome.queries == 10)
  }

  @Test func `one synonym that is enough ends the attack`() throws {
    let outcome = try attack.attack(
      classifier(["good": 0.5, "nice": 0.4]), text: "a good film", label: 1, queries: 100)
    #expect(outcome.text == "a sound film")
    // The text, two words, the two synonyms of the more salient.
    #expect(outcome.queries == 5)
  }

  @Test func `synonyms that gain nothing are not used`() throws {
    let outcome = try attack.attack(
      classifier(["good": 0.4, "nice": 0.4, "sound": 0.5, "film": 0.2, "movie": 0.2]), text: "a good film", label: 1,
      queries: 100)
    #expect(outcome.result == .withstood)
    #expect(outcome.changes.isEmpty)
  }

  @Test func `a budget that is used up ends the attack`() throws {
    let outcome = try attack.attack(
      classifier(["good": 0.3, "film": 0.2, "nice": 0.25, "sound": 0.15, "movie": 0.1]), text: "a very good film",
      label: 1, queries: 7)
    #expect(outcome.result == .withstood)
    #expect(outcome.queries <= 7)
  }
}
