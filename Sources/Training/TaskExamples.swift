import Datasets
import Formats
import Foundation

/// A task of a comparison: its examples, and which to train on, to validate with and to test on.
public struct TaskExamples: Sendable {
  /// Unique in a comparison.
  public let name: String
  /// Of two domains: what is trained on or validated with, and what is tested on.
  public let examples: any Examples
  /// What to train on while settings are chosen.
  public let training: [Int]
  /// What to choose settings by.
  public let validation: [Int]
  public let test: [Int]

  /// Examples that cannot be used are in no part.
  ///
  /// - Throws: `TaskExamplesError` where the examples do not have two domains, a part is empty or reaches into the other
  ///   domain, or two parts share an example.
  public init(
    _ name: String, _ examples: any Examples, training: [Int], validation: [Int], test: [Int]
  ) throws(TaskExamplesError) {
    guard examples.domains.count == 2, examples.ranges.count == 2 else {
      throw .domains(task: name, examples.domains)
    }
    self.name = name
    self.examples = examples
    self.training = training.filter(examples.isUsable)
    self.validation = validation.filter(examples.isUsable)
    self.test = test.filter(examples.isUsable)
    for (part, indices, domain) in [
      ("training", self.training, 0), ("validation", self.validation, 0), ("test", self.test, 1),
    ] {
      if indices.isEmpty { throw .empty(task: name, part: part) }
      if let stray = indices.first(where: { !examples.ranges[domain].contains($0) }) {
        throw .domain(task: name, part: part, index: stray)
      }
    }
    let all = self.training + self.validation + self.test
    if Set(all).count < all.count { throw .overlap(task: name) }
  }

  /// The images of a task of a folder.
  ///
  /// - Parameter examples: those of the task's own folder, `task.folder`.
  public init(_ task: ClassificationTask, _ examples: any Examples) throws(TaskExamplesError) {
    try self.init(
      task.name, examples, training: task.training, validation: task.validation, test: task.test)
  }

  /// What `phase` trains on and measures. Choosing settings does not look at the test images at all.
  public func fold(for phase: TaskRun.Phase) -> Fold {
    switch phase {
    case .search:
      Fold(target: 1, parts: [.init(in: training, out: validation), .init(in: [], out: [])])
    case .final:
      Fold(target: 1, parts: [.init(in: training + validation, out: []), .init(in: test, out: [])], selectsStep: false)
    }
  }

  /// Changes with the examples and with the split.
  var fingerprint: String {
    let parts = [training, validation, test].map { $0.map(String.init).joined(separator: " ") }
    return FileDigest.sha256(of: Data(([examples.fingerprint] + parts).joined(separator: "\n").utf8))
  }
}

public enum TaskExamplesError: Error, Equatable, CustomStringConvertible {
  case domains(task: String, [String])
  case empty(task: String, part: String)
  case domain(task: String, part: String, index: Int)
  case overlap(task: String)

  public var description: String {
    switch self {
    case .domains(let task, let domains):
      "Task '\(task)' has the domains [\(domains.joined(separator: ", "))]. A task has two: to train on, and to test on."
    case .empty(let task, let part): "Task '\(task)' has no \(part) example that can be used. Add some."
    case .domain(let task, let part, let index):
      "Example \(index), a \(part) example of task '\(task)', belongs to the wrong one of its two domains, or to neither."
    case .overlap(let task): "Training, validation and test of task '\(task)' share examples. They must not."
    }
  }
}
