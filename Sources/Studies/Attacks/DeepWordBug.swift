import Datasets

/// Misspells the words that matter most to the classifier.
///
/// Gao et al. 2018, "Black-box Generation of Adversarial Text Sequences to Evade Deep Learning Classifiers",
/// arXiv:1801.04354. Words are scored by what the classifier loses without them; then, from the highest score on, each
/// is changed by one letter until the classifier is wrong. The paper chooses one of the four changes for all words;
/// here all four are tried on a word, with letters drawn at random, and the one that the classifier likes least is
/// kept.
public struct DeepWordBug: TextAttack, Hashable {
  /// How words are scored, with `F(x)` the probability of the text's class.
  public enum Scoring: Hashable, Sendable {
    /// `F(x) − F(x without i)`, another word in its place: the paper's replace-1 score.
    case replaceOne
    /// `F(x₁…xᵢ) − F(x₁…xᵢ₋₁) + λ·(F(xᵢ…xₙ) − F(xᵢ₊₁…xₙ))`: the paper's combined score, at twice the queries.
    case combined(Double)
  }

  public var scoring = Scoring.replaceOne
  /// Letters that may be changed in all; swapping two counts as two. The paper allows 30.
  public var edits = 30
  /// Words of fewer letters stay as they are.
  public var shortestWord = 2
  /// What a word is replaced by while it is scored: the tokenizer's unknown token; nil leaves the word out.
  public var unknown: String? = "[UNK]"
  public var seed: UInt64 = 0

  public init(edits: Int = 30, seed: UInt64 = 0) {
    self.edits = edits
    self.seed = seed
  }

  public var name: String { "DeepWordBug" }
  public var fingerprint: String { "DeepWordBug \(scoring) \(edits) \(shortestWord) \(unknown ?? "none") \(seed)" }

  public func attack(_ classifier: AttackedClassifier, text: String, label: Int, queries: Int) throws -> AttackOutcome {
    try withoutActuallyEscaping(classifier) { classifier in
      var victim = AttackedVictim(classifier, label: label, budget: queries)
      return try run(&victim, AttackedText(text), label: label)
    }
  }

  private func run(_ victim: inout AttackedVictim, _ original: AttackedText, label: Int) throws -> AttackOutcome {
    var current = original
    func outcome(_ result: AttackOutcome.Result) -> AttackOutcome {
      AttackOutcome(
        result: result, text: current.text, changes: current.changes(from: original), words: original.words.count,
        queries: victim.queries)
    }
    guard let first = try victim.ask([original.text]).first else { return outcome(.withstood) }
    guard first.isRight else { return outcome(.wrongAlready) }
    let places = original.words.indices.filter { original.words[$0].count >= shortestWord }
    let scores = try scores(of: places, in: original, first.probability, &victim)
    var generator = Xoshiro256(seed: seed, stream: UInt64(original.text.utf8.count), UInt64(label))
    var (left, probability) = (edits, first.probability)
    for (place, _) in scores.sorted(by: { ($0.score, $1.place) > ($1.score, $0.place) }) {
      let bugs = bugs(in: current.words[place], &generator).filter { $0.cost <= left }
      let texts = bugs.map { current.replacing(place, by: $0.word) }
      let answers = try victim.ask(texts.map(\.text))
      guard let best = answers.indices.min(by: { answers[$0].probability < answers[$1].probability }) else { break }
      if let wrong = answers.firstIndex(where: { !$0.isRight }) {
        current = texts[wrong]
        return outcome(.succeeded)
      }
      guard answers[best].probability < probability else { continue }
      current = texts[best]
      probability = answers[best].probability
      left -= bugs[best].cost
    }
    return outcome(.withstood)
  }

  private func scores(
    of places: [Int], in text: AttackedText, _ whole: Double, _ victim: inout AttackedVictim
  ) throws -> [(place: Int, score: Double)] {
    switch scoring {
    case .replaceOne:
      let answers = try victim.ask(places.map { text.replacing($0, by: unknown ?? "").text })
      return zip(places, answers).map { ($0, whole - $1.probability) }
    case .combined(let weight):
      // Heads and tails of every length: those of neighbours are shared.
      let count = text.words.count
      let heads = try victim.ask((0...count).map { text.text(of: 0..<$0) })
      let tails = try victim.ask((0...count).map { text.text(of: $0..<count) })
      return places.filter { heads.count > $0 + 1 && tails.count > $0 + 1 }.map { place in
        let head = heads[place + 1].probability - heads[place].probability
        let tail = tails[place].probability - tails[place + 1].probability
        return (place, head + weight * tail)
      }
    }
  }

  /// The word with two letters swapped, one replaced, one left out, one put in: each where it changes the word.
  func bugs(in word: String, _ generator: inout Xoshiro256) -> [(word: String, cost: Int)] {
    let letters = Array(word)
    guard letters.count >= 2 else { return [] }
    func drawn() -> Character { Character(UnicodeScalar(UInt8(ascii: "a") + UInt8(generator.below(26)))) }
    var bugs: [(word: String, cost: Int)] = []
    var swapped = letters
    let pair = generator.below(letters.count - 1)
    swapped.swapAt(pair, pair + 1)
    bugs.append((String(swapped), 2))
    var replaced = letters
    replaced[generator.below(letters.count)] = drawn()
    bugs.append((String(replaced), 1))
    var shorter = letters
    shorter.remove(at: generator.below(letters.count))
    bugs.append((String(shorter), 1))
    var longer = letters
    longer.insert(drawn(), at: generator.below(letters.count + 1))
    bugs.append((String(longer), 1))
    return bugs.filter { $0.word != word }
  }
}
