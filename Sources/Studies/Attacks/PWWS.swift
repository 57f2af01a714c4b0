import Foundation

/// Replaces words by synonyms, those first by which the classifier loses most.
///
/// Ren et al. 2019, "Generating Natural Language Adversarial Examples through Probability Weighted Word Saliency", ACL
/// 2019. With `F` the probability of the text's class, a word's synonym `w*` is the one that lowers it most, by `ΔP =
/// F(x) − F(x*)`; its saliency is `S = F(x) − F(x without it)`; words are replaced in descending order of
/// `softmax(S)·ΔP` until the classifier is wrong (their equations 4 to 8).
///
/// The paper looks synonyms up under a word's part of speech, and replaces names by other names of the data set. There
/// is no tagger here: all parts of speech are tried, and names stay. Where the budget does not reach to ask about
/// every synonym, words of high saliency come first. And where one synonym alone makes the classifier wrong, while
/// synonyms are still being asked about, that text is the outcome, and nothing is ranked. These four are ours.
public struct PWWS: TextAttack {
  /// The synonyms of a word, none of them the word itself.
  public typealias Synonyms = @Sendable (String) -> [String]

  private let synonyms: Synonyms
  /// Says which synonyms these are.
  private let source: String
  /// Tried of one word.
  public var synonymsTried = 8
  /// What a word is replaced by while it is scored: the tokenizer's unknown token; nil leaves the word out.
  public var unknown: String? = "[UNK]"

  public init(_ wordNet: WordNet, synonymsTried: Int = 8) {
    self.init(source: "WordNet", synonymsTried: synonymsTried) { wordNet.synonyms(of: $0) }
  }

  public init(source: String, synonymsTried: Int = 8, _ synonyms: @escaping Synonyms) {
    self.source = source
    self.synonymsTried = synonymsTried
    self.synonyms = synonyms
  }

  public var name: String { "PWWS" }
  public var fingerprint: String { "PWWS \(source) \(synonymsTried) \(unknown ?? "none")" }

  public func attack(_ classifier: AttackedClassifier, text: String, label: Int, queries: Int) throws -> AttackOutcome {
    try withoutActuallyEscaping(classifier) { classifier in
      var victim = AttackedVictim(classifier, label: label, budget: queries)
      return try run(&victim, AttackedText(text))
    }
  }

  private struct Replacement {
    var place: Int
    var word: String
    /// `ΔP`, then `softmax(S)·ΔP`.
    var gain: Double
  }

  private func run(_ victim: inout AttackedVictim, _ original: AttackedText) throws -> AttackOutcome {
    var current = original
    func outcome(_ result: AttackOutcome.Result) -> AttackOutcome {
      AttackOutcome(
        result: result, text: current.text, changes: current.changes(from: original), words: original.words.count,
        queries: victim.queries)
    }
    guard let first = try victim.ask([original.text]).first else { return outcome(.withstood) }
    guard first.isRight else { return outcome(.wrongAlready) }
    let candidates = original.words.indices.map { place in
      (place: place, words: Array(synonyms(original.words[place]).prefix(synonymsTried)))
    }.filter { !$0.words.isEmpty }
    let answers = try victim.ask(candidates.map { original.replacing($0.place, by: unknown ?? "").text })
    // The softmax is over the words that can be replaced; the others could only scale all scores alike.
    let saliency = answers.map { first.probability - $0.probability }
    let total = saliency.reduce(0) { $0 + exp($1) }

    var replacements: [Replacement] = []
    for index in saliency.indices.sorted(by: { (saliency[$0], $1) > (saliency[$1], $0) }) {
      let (place, words) = candidates[index]
      // One query is kept for each replacement that is to be made.
      guard victim.left > words.count + replacements.count else { break }
      let texts = words.map { original.replacing(place, by: $0) }
      let answers = try victim.ask(texts.map(\.text))
      if let wrong = answers.firstIndex(where: { !$0.isRight }) {
        current = texts[wrong]
        return outcome(.succeeded)
      }
      guard let best = answers.indices.min(by: { answers[$0].probability < answers[$1].probability }) else { break }
      let drop = first.probability - answers[best].probability
      if drop > 0 {
        replacements.append(Replacement(place: place, word: words[best], gain: exp(saliency[index]) / total * drop))
      }
    }
    for replacement in replacements.sorted(by: { ($0.gain, $1.place) > ($1.gain, $0.place) }) {
      let next = current.replacing(replacement.place, by: replacement.word)
      guard let answer = try victim.ask([next.text]).first else { break }
      current = next
      if !answer.isRight { return outcome(.succeeded) }
    }
    return outcome(.withstood)
  }
}
