import Tensors

/// `y_j = Σ_e g_je · x_j D_e`, with each token multiplied only by the experts whose gate is not zero.
///
/// Tokens are gathered expert by expert, each group is one product, and the results go back to their places: for one
/// expert a token the cost is that of a single dense layer, however many experts there are. No capacity limit, no dropped
/// token. An expert chosen by no token gets a gradient of exactly zero.
enum ExpertDispatch {
  /// - Parameters:
  ///   - rows: `[tokens, inFeatures]`
  ///   - gates: `[tokens, experts]`
  ///   - experts: `D_e`, each `[inFeatures, outFeatures]`
  /// - Returns: `[tokens, outFeatures]`
  static func apply(_ rows: Tensor, gates: Tensor, experts: [Tensor]) throws -> Tensor {
    try Function.apply("expert dispatch", to: [rows, gates] + experts) { inputs in
      let precision = autocastDType(on: inputs[0].device) ?? inputs[0].dtype
      let (rows, gates) = (try inputs[0].to(precision), inputs[1])
      let experts = try inputs[2...].map { try $0.to(precision) }
      let groups = try Groups(gates)
      let gathered = try rows.selected(0, groups.tokens)
      let products = try Tensor.concatenated(
        zip(groups.ranges, experts).map { range, expert in try gathered.narrowed(0, range).matmul(expert) })
      let factors = try groups.factors(gates).to(precision)
      let output = try Tensor.zeros([rows.shape[0], experts[0].shape[1]], dtype: precision, device: rows.device)
      try output.addInPlace(products * factors, at: groups.tokens)
      return (
        [output],
        { gradients, needed in
          guard let gradient = gradients[0] else { return [Tensor?](repeating: nil, count: needed.count) }
          let g = try gradient.to(precision).selected(0, groups.tokens)
          let scaled = try g * factors
          var results = [Tensor?](repeating: nil, count: needed.count)
          if needed[0] {
            let sum = try rows.zerosLike()
            for (range, expert) in zip(groups.ranges, experts) where !range.isEmpty {
              try sum.addInPlace(scaled.narrowed(0, range).linear(expert), at: groups.tokens.narrowed(0, range))
            }
            results[0] = sum
          }
          if needed[1] { results[1] = try groups.spread((g * products).sum(1).to(gates.dtype), like: gates) }
          for (index, range) in groups.ranges.enumerated() where needed[index + 2] {
            results[index + 2] =
              range.isEmpty
              ? try experts[index].zerosLike()
              : try gathered.narrowed(0, range).transposed().matmul(scaled.narrowed(0, range))
          }
          return results
        }
      )
    }[0]
  }

  /// Which tokens go where: pairs of a token and an expert, ordered by expert, then by token.
  private struct Groups {
    let tokens: Tensor
    let experts: Tensor
    let ranges: [Range<Int>]
    let count: Int

    init(_ gates: Tensor) throws {
      let pairs = try gates.transposed().nonzero()
      experts = try pairs.select(1, 0).contiguous()
      tokens = try pairs.select(1, 1).contiguous()
      count = pairs.shape[0]
      var start = 0
      ranges = try experts.to(.cpu).occurrences(of: gates.shape[1]).integers().map { size in
        defer { start += size }
        return start..<start + size
      }
    }

    /// Each pair's gate, `[pairs, 1]`.
    func factors(_ gates: Tensor) throws -> Tensor {
      try gates.selected(0, tokens).gathered(1, experts.unsqueezed(1))
    }

    /// A value for each pair, put where the pair's gate is.
    func spread(_ values: Tensor, like gates: Tensor) throws -> Tensor {
      let columns = gates.shape[1]
      let flat = try Tensor.zeros([gates.count], dtype: gates.dtype, device: gates.device)
      try flat.copyInPlace(values, at: tokens * Double(columns) + experts)
      return try flat.reshaped(gates.shape)
    }
  }
}
