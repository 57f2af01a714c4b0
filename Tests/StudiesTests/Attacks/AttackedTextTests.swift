import Testing

@testable import Studies

@Suite struct AttackedTextTests {
  @Test func `words and what is between them add up to the text`() {
    let text = AttackedText("  Don't stop -- it's a well-made 3rd film!")
    #expect(text.words == ["Don't", "stop", "it's", "a", "well-made", "3rd", "film"])
    #expect(text.text == "  Don't stop -- it's a well-made 3rd film!")
    #expect(text.text(of: 1..<3) == " stop -- it's ")
    #expect(AttackedText("").words.isEmpty && AttackedText("?!").text == "?!")
  }

  @Test func `a replaced word is a change`() {
    let text = AttackedText("a bad film")
    let changed = text.replacing(1, by: "poor")
    #expect(changed.text == "a poor film")
    #expect(changed.changes(from: text) == [.init(place: 1, before: "bad", after: "poor")])
  }

  @Test func `a victim answers within its budget, and counts`() throws {
    var victim = AttackedVictim({ $0.map { _ in [0.5, 0.5] } }, label: 0, budget: 3)
    // Of two equal probabilities the first class counts.
    #expect(
      try victim.ask(["a", "b"]) == [.init(probability: 0.5, isRight: true), .init(probability: 0.5, isRight: true)])
    #expect(try victim.ask(["c", "d"]).count == 1)
    #expect(try victim.ask(["e"]).isEmpty)
    #expect(victim.queries == 3)
  }
}
