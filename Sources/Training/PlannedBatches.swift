import Datasets

/// The batches of a plan, each made when it is asked for.
struct PlannedBatches: AsyncSequence, Sendable {
  typealias Element = Batch

  let plan: any BatchPlan
  let steps: Range<Int>
  /// Makes the batch of these examples at a step.
  let make: @Sendable (_ indices: [Int], _ step: Int) throws -> Batch

  func makeAsyncIterator() -> Iterator { Iterator(batches: self, step: steps.lowerBound) }

  struct Iterator: AsyncIteratorProtocol {
    let batches: PlannedBatches
    var step: Int

    mutating func next() async throws -> Batch? {
      guard step < batches.steps.upperBound, let indices = batches.plan.samples(atStep: step) else { return nil }
      try Task.checkCancellation()
      defer { step += 1 }
      return try batches.make(indices, step)
    }
  }
}
