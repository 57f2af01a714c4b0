import CTorch

/// Products with block-diagonal matrices, `BD(V)`: block `j` of `values` `[groups, o, i]` leads from channels
/// `π(j·i) … π(j·i + i − 1)` to channels `j·o … j·o + o − 1`.
///
/// `π(p) = p`, or with `reorder` the channels of a `[groups, i]` grid read down its columns,
/// `π(p) = (p mod groups) · i + p div groups`: each block then reads from several neighborhoods.
///
/// Small blocks of float32 and float64 on the CPU run in a kernel of their own, others as batched products.
extension Tensor {
  /// `self[t] += scales[sample of t] · (BD(values) · input[π][t] + bias)`, for rows `t`.
  ///
  /// - Parameters:
  ///   - input: `[rows, groups · i]`; this tensor is `[rows, groups · o]`, without gaps in memory.
  ///   - bias: `[groups · o]`
  ///   - scales: `[samples]`, for the equal parts that the rows consist of, in order. A sample of scale 0 is skipped.
  /// - Throws: `TorchError` where the shapes do not fit.
  public func addGroupedInPlace(
    _ input: Tensor, _ values: Tensor, reorder: Bool = false, bias: Tensor? = nil, scales: Tensor? = nil
  ) throws {
    try Torch.call("addGroupedInPlace", self, input, values, bias, scales) {
      ct_grouped_add_(raw, input.raw, values.raw, reorder, bias?.raw, scales?.raw, $0)
    }
  }

  /// The gradients of `addGroupedInPlace` where this tensor is the gradient of its result. The input's is added in place.
  ///
  /// Sums over rows are taken in an order that depends on their number alone: any number of threads gives the same bits.
  ///
  /// - Parameters:
  ///   - inputGradient: `[rows, groups · i]`, what the input's gradient is added to; nil where it is not wanted.
  ///   - needed: whether the gradients of `values` and of `bias` are asked for.
  public func groupedBackward(
    _ input: Tensor, _ values: Tensor, reorder: Bool = false, scales: Tensor? = nil, addingTo inputGradient: Tensor?,
    needed: (values: Bool, bias: Bool)
  ) throws -> (values: Tensor?, bias: Tensor?) {
    var toValues: CTTensor?
    var toBias: CTTensor?
    try Torch.call("groupedBackward", self, input, values, scales, inputGradient) { failure in
      withUnsafeMutablePointer(to: &toValues) { toValues in
        withUnsafeMutablePointer(to: &toBias) { toBias in
          ct_grouped_backward(
            raw, input.raw, values.raw, reorder, scales?.raw, inputGradient?.raw, needed.values ? toValues : nil,
            needed.bias ? toBias : nil, failure)
        }
      }
    }
    return (toValues.map(Tensor.init(adopting:)), toBias.map(Tensor.init(adopting:)))
  }
}
