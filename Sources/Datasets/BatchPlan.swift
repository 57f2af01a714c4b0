/// Which samples make up each batch: a function of the step alone, so that it can be asked in any order and again.
public protocol BatchPlan: Sendable {
  /// Indices of samples in the order of the batch; `nil` past the last batch.
  func samples(atStep step: Int) -> [Int]?
}

/// Every index once, in order: for evaluation. The last batch may be smaller.
public struct SequentialBatches: BatchPlan, Hashable {
  public let indices: [Int]
  public let batchSize: Int

  /// A `batchSize` below 1 counts as 1.
  public init(_ indices: [Int], batchSize: Int) {
    self.indices = indices
    self.batchSize = max(1, batchSize)
  }

  public func samples(atStep step: Int) -> [Int]? {
    let (start, overflow) = step.multipliedReportingOverflow(by: batchSize)
    guard !overflow, start >= 0, start < indices.count else { return nil }
    return Array(indices[start..<min(start + batchSize, indices.count)])
  }
}
