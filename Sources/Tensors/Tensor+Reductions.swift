import CTorch

extension Tensor {
  private func reduced(_ name: StaticString, _ reduction: CTReduction, _ dimensions: [Int], _ keep: Bool) throws
    -> Tensor
  {
    try Torch.tensor(name, self) { out, failure in
      dimensions.withSizes { ct_reduce(reduction, raw, $0, $1, keep, out, failure) }
    }
  }

  // No dimensions means all of them.
  public func sum(_ dimensions: Int..., keep: Bool = false) throws -> Tensor {
    try reduced("sum", CT_SUM, dimensions, keep)
  }
  public func mean(_ dimensions: Int..., keep: Bool = false) throws -> Tensor {
    try reduced("mean", CT_MEAN, dimensions, keep)
  }
  public func max(_ dimensions: Int..., keep: Bool = false) throws -> Tensor {
    try reduced("max", CT_AMAX, dimensions, keep)
  }
  public func min(_ dimensions: Int..., keep: Bool = false) throws -> Tensor {
    try reduced("min", CT_AMIN, dimensions, keep)
  }
  public func all(_ dimensions: Int..., keep: Bool = false) throws -> Tensor {
    try reduced("all", CT_ALL, dimensions, keep)
  }
  public func any(_ dimensions: Int..., keep: Bool = false) throws -> Tensor {
    try reduced("any", CT_ANY, dimensions, keep)
  }
  /// The Euclidean norm.
  public func norm(_ dimensions: Int..., keep: Bool = false) throws -> Tensor {
    try reduced("norm", CT_NORM, dimensions, keep)
  }
  public func logSumExp(_ dimensions: Int..., keep: Bool = false) throws -> Tensor {
    try reduced("logSumExp", CT_LOGSUMEXP, dimensions, keep)
  }

  /// The variance, divided by `n − correction`.
  public func variance(_ dimensions: Int..., correction: Double = 1, keep: Bool = false) throws -> Tensor {
    try Torch.tensor("variance", self) { out, failure in
      dimensions.withSizes { ct_variance(raw, $0, $1, correction, keep, out, failure) }
    }
  }

  /// The index of the largest element, the first one of equals, as int64.
  public func argmax(_ dimension: Int, keep: Bool = false) throws -> Tensor {
    try Torch.tensor("argmax", self) { ct_argmax(raw, Int64(dimension), keep, $0, $1) }
  }

  /// The `count` largest elements in descending order, with their indices.
  public func topK(_ count: Int, dimension: Int = -1) throws -> (values: Tensor, indices: Tensor) {
    try pair("topK") { ct_topk(raw, Int64(count), Int64(dimension), $0, $1, $2) }
  }

  /// Sorted stably, with the indices that sort.
  public func sorted(_ dimension: Int = -1, descending: Bool = false) throws -> (values: Tensor, indices: Tensor) {
    try pair("sorted") { ct_sort(raw, Int64(dimension), descending, $0, $1, $2) }
  }

  public func cumulativeSum(_ dimension: Int) throws -> Tensor {
    try Torch.tensor("cumulativeSum", self) { ct_cumulative_sum(raw, Int64(dimension), $0, $1) }
  }

  /// How often each of `0 ..< count` occurs in a vector of integers.
  public func occurrences(of count: Int) throws -> Tensor {
    try Torch.tensor("occurrences", self) { ct_bincount(raw, Int64(count), $0, $1) }
  }

  private func pair(
    _ name: StaticString, _ body: (Torch.Out, Torch.Out, Torch.Failure) -> CTStatus
  ) throws -> (Tensor, Tensor) {
    var second: CTTensor?
    let first = try Torch.tensor(name, self) { body($0, &second, $1) }
    guard let second else { throw TorchError(kind: .other, operation: "\(name)", operands: [], message: "no result") }
    return (first, Tensor(adopting: second))
  }
}
