/// A text as words and what stands between them.
struct AttackedText: Hashable, Sendable {
  /// Runs of letters and digits, with apostrophes and hyphens inside them.
  private(set) var words: [String] = []
  /// One more than words.
  private var gaps: [String] = [""]

  init(_ text: String) {
    let characters = Array(text)
    var place = 0
    while place < characters.count {
      guard Self.isOfWord(characters[place]) else {
        gaps[gaps.count - 1].append(characters[place])
        place += 1
        continue
      }
      var word = ""
      while place < characters.count {
        let joins =
          !word.isEmpty && "'’-".contains(characters[place]) && place + 1 < characters.count
          && Self.isOfWord(characters[place + 1])
        guard Self.isOfWord(characters[place]) || joins else { break }
        word.append(characters[place])
        place += 1
      }
      words.append(word)
      gaps.append("")
    }
  }

  private static func isOfWord(_ character: Character) -> Bool { character.isLetter || character.isNumber }

  var text: String { text(of: words.indices) }

  /// Only some of the words, with the gaps around them.
  func text(of range: Range<Int>) -> String {
    range.reduce(gaps[range.lowerBound]) { $0 + words[$1] + gaps[$1 + 1] }
  }

  func replacing(_ place: Int, by word: String) -> AttackedText {
    var changed = self
    changed.words[place] = word
    return changed
  }

  func changes(from original: AttackedText) -> [AttackOutcome.Change] {
    zip(original.words, words).enumerated().compactMap { place, pair in
      pair.0 == pair.1 ? nil : AttackOutcome.Change(place: place, before: pair.0, after: pair.1)
    }
  }
}

/// The classifier under attack, and how often it was asked.
struct AttackedVictim {
  private let classifier: AttackedClassifier
  private let label: Int
  private let budget: Int
  private(set) var queries = 0

  /// What the classifier says of a text.
  struct Answer: Hashable {
    /// The probability of the text's class.
    var probability: Double
    /// Whether it is the largest; among equals the first counts.
    var isRight: Bool
  }

  init(_ classifier: @escaping AttackedClassifier, label: Int, budget: Int) {
    self.classifier = classifier
    self.label = label
    self.budget = budget
  }

  var left: Int { max(0, budget - queries) }

  /// The answers for as many of the texts as the budget allows, together.
  mutating func ask(_ texts: [String]) throws -> [Answer] {
    let texts = Array(texts.prefix(left))
    guard !texts.isEmpty else { return [] }
    queries += texts.count
    return try classifier(texts).map { probabilities in
      var largest = 0
      for place in probabilities.indices where probabilities[place] > probabilities[largest] { largest = place }
      return Answer(
        probability: probabilities.indices.contains(label) ? probabilities[label] : 0, isRight: largest == label)
    }
  }
}
