import Datasets
import Tensors

/// Labelled inputs in domains, by index: images or texts in folders, tensors in memory, features computed before.
public protocol Examples: Sendable {
  var classes: [String] { get }
  var domains: [String] { get }
  /// Each domain's part of the indices.
  var ranges: [Range<Int>] { get }
  /// The class of each example.
  var labels: [Int] { get }
  /// Says which examples these are; the same for the same inputs, labels and domains.
  var fingerprint: String { get }
  /// What was left out, and why.
  var badSamples: [BadSample] { get }

  /// Whether inputs differ between training and evaluation.
  var varies: Bool { get }

  /// The length of each example's input, in tokens, where lengths differ and a batch is filled up to its longest; nil where
  /// all inputs are of one shape.
  var lengths: [Int]? { get }

  /// Whether the example can be had; one that cannot keeps its index, so that splits do not depend on it.
  func isUsable(_ index: Int) -> Bool

  /// The batches of a plan's steps, in order, made ahead of their use where that takes time.
  func batches(of plan: any BatchPlan, steps: Range<Int>, for purpose: Purpose) -> Batches
}

/// The batches of a range of steps.
public typealias Batches = AsyncThrowingStream<Batch, any Error>

/// What inputs are wanted for.
public enum Purpose: Sendable, Hashable {
  /// As they are.
  case evaluation
  /// Varied at random where the examples allow it; the draws depend on the seed, the step and the place in the batch.
  case training(seed: UInt64)
}

/// Inputs that go through the model together.
public struct Batch: Sendable {
  public let step: Int
  /// Which examples these are.
  public let indices: [Int]
  /// `[count, …]`
  public let inputs: Tensor
  /// `[count]`, int64
  public let labels: Tensor

  public init(step: Int, indices: [Int], inputs: Tensor, labels: Tensor) {
    self.step = step
    self.indices = indices
    self.inputs = inputs
    self.labels = labels
  }

  public var count: Int { indices.count }
}

extension Examples {
  public var badSamples: [BadSample] { [] }
  public var varies: Bool { false }
  public var lengths: [Int]? { nil }
  public func isUsable(_ index: Int) -> Bool { labels.indices.contains(index) }
}

extension Examples {
  /// Which examples the steps of training take: `BatchSampler`'s draws, or `LengthBatches` where lengths differ.
  func trainingPlan(for fold: Fold, perDomain: Int, seed: UInt64) throws -> any BatchPlan {
    guard let lengths else { return try BatchSampler(pools: fold.pools, perDomain: perDomain, seed: seed) }
    return try LengthBatches(pools: fold.pools, lengths: lengths, perDomain: perDomain, seed: seed)
  }
}

extension AsyncThrowingStream where Element == Batch, Failure == any Error {
  /// The elements of `batches`, converted.
  init<Source: AsyncSequence & Sendable>(
    _ batches: Source, _ convert: @escaping @Sendable (Source.Element) throws -> Batch
  ) {
    let place = Place(batches.makeAsyncIterator())
    self.init { try await place.next().map(convert) }
  }
}

/// Where a stream has got to.
///
/// `@unchecked Sendable`: a stream of this kind has one reader, who asks for one element at a time.
private final class Place<Iterator: AsyncIteratorProtocol>: @unchecked Sendable {
  private var iterator: Iterator
  init(_ iterator: Iterator) { self.iterator = iterator }
  func next() async throws -> Iterator.Element? { try await iterator.next() }
}
