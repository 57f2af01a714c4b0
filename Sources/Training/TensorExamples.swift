import Datasets
import Formats
import Foundation
import Tensors

/// Examples held in memory: one row of a tensor each, domain after domain.
public struct TensorExamples: Examples {
  public let classes: [String]
  public let domains: [String]
  public let ranges: [Range<Int>]
  public let labels: [Int]
  public let fingerprint: String
  /// `[count, …]`
  public let inputs: Tensor
  /// Varied copies of `inputs`, of the same shape; training draws one of them for each example.
  public let views: [Tensor]
  private let usable: [Bool]?

  /// - Parameters:
  ///   - labels: per example, an index into `classes`.
  ///   - counts: per domain, how many examples it has; they follow each other.
  ///   - fingerprint: nil hashes everything.
  /// - Throws: `ExamplesError` where numbers disagree.
  public init(
    inputs: Tensor, labels: [Int], classes: [String], domains: [String], counts: [Int], views: [Tensor] = [],
    usable: [Bool]? = nil, fingerprint: String? = nil
  ) throws {
    let count = inputs.size(0) ?? 0
    guard labels.count == count, counts.count == domains.count, counts.allSatisfy({ $0 >= 0 }),
      counts.reduce(0, +) == count, usable.map({ $0.count == count }) ?? true
    else { throw ExamplesError.counts(inputs: count, labels: labels.count, domains: counts) }
    if let label = labels.first(where: { !classes.indices.contains($0) }) {
      throw ExamplesError.label(label, classes: classes.count)
    }
    for view in views where view.shape != inputs.shape {
      throw ExamplesError.view(view.shape, expected: inputs.shape)
    }
    self.inputs = inputs
    self.labels = labels
    self.classes = classes
    self.domains = domains
    self.views = views
    self.usable = usable
    var start = 0
    ranges = counts.map { count in
      defer { start += count }
      return start..<start + count
    }
    self.fingerprint = try fingerprint ?? Self.hash(inputs, labels, classes, domains, counts)
  }

  public var varies: Bool { !views.isEmpty }

  public func isUsable(_ index: Int) -> Bool { labels.indices.contains(index) && usable?[index] ?? true }

  public func batches(of plan: any BatchPlan, steps: Range<Int>, for purpose: Purpose) -> Batches {
    Batches(PlannedBatches(plan: plan, steps: steps) { try batch($0, step: $1, purpose) }) { $0 }
  }

  private func batch(_ indices: [Int], step: Int, _ purpose: Purpose) throws -> Batch {
    if let missing = indices.first(where: { !labels.indices.contains($0) }) {
      throw ImageSourceError.noImage(missing, count: labels.count)
    }
    let inputs: Tensor
    switch purpose {
    case .training(let seed) where !views.isEmpty:
      let chosen = try indices.enumerated().map { slot, index in
        var generator = Xoshiro256(seed: seed, stream: 0x7669_6577, UInt64(step), UInt64(slot))
        return try views[generator.below(views.count)].select(0, index)
      }
      inputs = try .stacked(chosen)
    default:
      inputs = try self.inputs.selected(0, Tensor(indices.map(Int64.init)).to(self.inputs.device))
    }
    return Batch(step: step, indices: indices, inputs: inputs, labels: try Tensor(indices.map { Int64(labels[$0]) }))
  }

  private static func hash(
    _ inputs: Tensor, _ labels: [Int], _ classes: [String], _ domains: [String], _ counts: [Int]
  ) throws -> String {
    var data = try inputs.withBytes { Data($0) }
    data.append(Data("\(inputs.shape) \(labels) \(classes) \(domains) \(counts)".utf8))
    return FileDigest.sha256(of: data)
  }
}

public enum ExamplesError: Error, Equatable, CustomStringConvertible {
  case counts(inputs: Int, labels: Int, domains: [Int])
  case label(Int, classes: Int)
  case view([Int], expected: [Int])

  public var description: String {
    switch self {
    case .counts(let inputs, let labels, let domains):
      "\(inputs) inputs, \(labels) labels and domains of \(domains) do not go together. Give one label for each input."
    case .label(let label, let classes):
      "The label \(label) is none of \(classes) classes, which are counted from 0."
    case .view(let shape, let expected):
      "A view has the shape \(shape) and the inputs \(expected). They must be the same."
    }
  }
}
