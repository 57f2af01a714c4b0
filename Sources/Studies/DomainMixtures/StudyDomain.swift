import Datasets
import Formats
import Foundation
import Training

/// One domain of a study: examples with classes of its own, and which of them to train on and to test on.
public struct StudyDomain: Sendable {
  /// Unique in a study.
  public let name: String
  /// Of one domain.
  public let examples: any Examples
  public let training: [Int]
  public let test: [Int]
  /// The text of an example, where examples are texts: what attacks change.
  public let text: (@Sendable (Int) -> String)?

  /// Examples that cannot be used are in no part.
  ///
  /// - Throws: `StudyError` where the examples have several domains, a part is empty, or the two share an example.
  public init(
    _ name: String, _ examples: any Examples, training: [Int], test: [Int], text: (@Sendable (Int) -> String)? = nil
  ) throws(StudyError) {
    guard examples.ranges.count == 1 else { throw .manyDomains(domain: name, examples.domains) }
    if let stray = (training + test).first(where: { !examples.labels.indices.contains($0) }) {
      throw .unknownExample(domain: name, index: stray)
    }
    self.name = name
    self.examples = examples
    self.training = training.filter(examples.isUsable)
    self.test = test.filter(examples.isUsable)
    self.text = text
    if self.training.isEmpty { throw .empty(domain: name, part: "training") }
    if self.test.isEmpty { throw .empty(domain: name, part: "test") }
    if Set(self.training + self.test).count < self.training.count + self.test.count { throw .overlap(domain: name) }
  }

  /// At most `count` of the examples at `indices`, ascending, the classes in their proportions.
  static func draw(_ count: Int, of indices: [Int], labels: [Int], seed: UInt64) -> [Int] {
    guard count < indices.count else { return indices }
    var generator = Xoshiro256(seed: seed, stream: 0x6472_6177)
    let classes = Dictionary(grouping: indices) { labels[$0] }.sorted { $0.key < $1.key }.map { _, members in
      var members = members
      generator.shuffle(&members)
      return members
    }
    // Dealt in turn by how much of its share each class has had: the largest remainder, without counting quotas.
    var taken = classes.map { _ in 0 }
    for _ in 0..<count {
      let next = classes.indices.filter { taken[$0] < classes[$0].count }.min { first, second in
        let (left, right) = ((taken[first] + 1) * classes[second].count, (taken[second] + 1) * classes[first].count)
        return left == right ? first < second : left < right
      }
      if let next { taken[next] += 1 }
    }
    return zip(classes, taken).flatMap { $0.prefix($1) }.sorted()
  }

  /// A domain of texts: trained on all that is not for testing.
  ///
  /// - Parameter split: of that domain, the only one of the examples.
  public init(_ name: String, _ examples: TextExamples, _ split: TextSplit) throws(StudyError) {
    let samples = examples.folder.samples
    // Attacks change one text; of a pair they would change the half.
    let text: (@Sendable (Int) -> String)?
    if samples.contains(where: { $0.secondText != nil }) { text = nil } else { text = { samples[$0].text } }
    try self.init(
      name, examples, training: (split.training + split.validation).sorted(), test: split.test, text: text)
  }

  /// Trains on one part and measures the other after the last step; nothing is chosen by it.
  var fold: Fold { Fold(target: nil, parts: [.init(in: training, out: test)], selectsStep: false) }

  /// Changes with the examples and with the division.
  var fingerprint: String {
    let parts = [training, test].map { $0.map(String.init).joined(separator: " ") }
    return FileDigest.sha256(of: Data(([examples.fingerprint] + parts).joined(separator: "\n").utf8))
  }
}
