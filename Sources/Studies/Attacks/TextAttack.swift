/// The probabilities of all classes for each of some texts: all that an attack sees of a model.
public typealias AttackedClassifier = ([String]) throws -> [[Double]]

/// Changes a text so that a classifier gets it wrong, by asking the classifier alone.
///
/// Attacks here are greedy and seeded: the same text, classifier and budget give the same outcome.
public protocol TextAttack: Sendable {
  /// As tables call it.
  var name: String { get }
  /// Says which attack this is, every setting included.
  var fingerprint: String { get }

  /// - Parameters:
  ///   - label: the class that the text is of.
  ///   - queries: texts that the classifier may be asked about; at least one.
  /// - Throws: what the classifier throws.
  func attack(_ classifier: AttackedClassifier, text: String, label: Int, queries: Int) throws -> AttackOutcome
}

/// What an attack came to.
public struct AttackOutcome: Hashable, Sendable {
  public enum Result: Hashable, Sendable {
    /// The classifier is wrong before anything is changed.
    case wrongAlready
    /// Right to the end of the budget or of what there is to change.
    case withstood
    case succeeded
  }

  public struct Change: Hashable, Sendable {
    /// Which word, counted from 0.
    public let place: Int
    public let before: String
    public let after: String
  }

  public let result: Result
  /// The text with the changes so far.
  public let text: String
  public let changes: [Change]
  /// Words of the text.
  public let words: Int
  /// Texts that the classifier was asked about.
  public let queries: Int
}
