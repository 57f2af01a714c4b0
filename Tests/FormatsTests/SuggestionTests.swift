import Testing

@testable import Formats

@Suite struct SuggestionTests {
  @Test(arguments: [
    ("", "", 0), ("abc", "abc", 0), ("abc", "ab", 1), ("abc", "abcd", 1), ("abc", "axc", 1), ("abc", "acb", 1),
    ("ca", "abc", 3),  // 2 in the unrestricted distance: nothing is edited twice
    ("kitten", "sitting", 3), ("", "abc", 3),
  ])
  func `the distance counts insertions, deletions, replacements and swaps`(left: String, right: String, distance: Int) {
    #expect(Suggestion.editDistance(Array(left), Array(right), atMost: 9) == distance)
    #expect(Suggestion.editDistance(Array(right), Array(left), atMost: 9) == distance)
    #expect(Suggestion.editDistance(Array(left), Array(right), atMost: distance - 1) == nil)
  }

  @Test func `the nearest come first, equals in the order given`() {
    let names = ["steps", "step", "stops", "rank", "sleep"]
    #expect(Suggestion.closest(to: "stepp", among: names) == ["steps", "step"])
    #expect(Suggestion.closest(to: "stesp", among: names) == ["steps", "step"])
    #expect(Suggestion.closest(to: "RANK", among: names) == ["rank"])
    #expect(Suggestion.closest(to: "qqqqq", among: names).isEmpty)
    #expect(Suggestion.closest(to: "", among: names).isEmpty)
    #expect(Suggestion.closest(to: "stepp", among: names, limit: 1) == ["steps"])
    #expect(Suggestion.closest(to: "stepp", among: names, limit: -1).isEmpty)
  }

  @Test func `the question reads as a sentence`() {
    #expect(
      Suggestion.didYouMean("lerning_rate", among: ["learning_rate", "rank"]) == " Did you mean 'learning_rate'?")
    #expect(Suggestion.didYouMean("a1", among: ["a2", "a3", "b"]) == " Did you mean 'a2' or 'a3'?")
    #expect(Suggestion.didYouMean("zzz", among: ["rank"]).isEmpty)
  }

  @Test func `a name of a megabyte costs nothing`() {
    let long = String(repeating: "x", count: 1_000_000)
    #expect(Suggestion.closest(to: long, among: [long]).isEmpty)
    #expect(Suggestion.closest(to: "x", among: [long]).isEmpty)
  }
}
