import Tensors

/// One grouped branch beside a linear map, `s · (BD(V) · R · x + c)`.
struct GroupedBranch {
  let delta: GroupedDelta
  /// `c`, `[outFeatures]`
  var bias: Tensor?
  /// `s`, one factor for each sample, which are equal parts of the rows of the input; nil for ones.
  var scales: Tensor?

  /// `x · Wᵀ + b + Σ_m s_m · (BD(V_m) · R_m · x + c_m)`, `[…, inFeatures]` to `[…, outFeatures]`.
  ///
  /// Where no branch drops a sample and there are many rows, the branches ride in the base product: their numbers are
  /// added to a copy of `W`, and only the gradients of `V` and `c` cost something of their own. Else each branch is added to
  /// the base product in place, where its factor is not zero; so too in 16 bits, where a copy of `W` would round the small
  /// changes away.
  static func output(
    weight: Tensor?, bias: Tensor?, input: Tensor, branches: [GroupedBranch]
  ) throws -> Tensor {
    let deltas = branches.map(\.delta)
    let (inFeatures, outFeatures) = (deltas[0].inFeatures, deltas[0].outFeatures)
    let operands = Operands(input: input, weight: weight, bias: bias, branches: branches)
    return try Function.apply("grouped linear", to: operands.present) { given in
      let operands = operands.replaced(by: given)
      let (x, weight) = (given[0], operands.weight)
      // Under autocast the products run in its dtype, also in the backward pass, where libtorch has switched it off.
      let precision = autocastDType(on: x.device) ?? weight?.dtype ?? deltas[0].values.dtype
      let rows = try x.to(precision).reshaped(-1, inFeatures)
      let bias = try operands.bias?.to(precision)
      let values = try operands.values.map { try $0.to(precision) }
      let biases = try operands.biases.map { try $0?.to(precision) }
      let scales = try branches.map { try $0.scales?.to(precision) }

      var base = try weight?.to(precision)
      let rides =
        base != nil && scales.allSatisfy { $0 == nil } && precision.size >= 4
        && 2 * rows.shape[0] >= min(inFeatures, outFeatures)
      let output: Tensor
      if rides, let weight = base {
        let merged = try zip(deltas, values).reduce(weight.contiguous().clone()) { sum, branch in
          try sum.reshaped(-1).addInPlace(branch.1.reshaped(-1), at: branch.0.places())
          return sum
        }
        let shift = try biases.reduce(bias) { sum, c in try sum.map { sum in try c.map { try sum + $0 } ?? sum } ?? c }
        output = try rows.linear(merged, shift)
        base = merged
      } else {
        output =
          try base.map { try rows.linear($0, bias) }
          ?? .zeros([rows.shape[0], outFeatures], dtype: precision, device: x.device)
        for (index, delta) in deltas.enumerated() {
          try output.addGroupedInPlace(
            rows, values[index], reorder: delta.reorder, bias: biases[index], scales: scales[index])
        }
      }

      let (weightOfInput, shape, reorder) = (base, x.shape, deltas.map(\.reorder))
      return (
        [try output.reshaped(shape.dropLast() + [outFeatures])],
        { gradients, needed in
          guard let gradient = gradients[0] else { return needed.map { _ in nil } }
          let needs = operands.needs(needed)
          let g = try gradient.to(precision).reshaped(-1, outFeatures).contiguous()
          var found = Operands.Gradients(branches: values.count)
          if needs.input {
            found.input =
              try weightOfInput.map { try g.matmul($0) }
              ?? .zeros([g.shape[0], inFeatures], dtype: precision, device: g.device)
          }
          if needs.weight { found.weight = try g.transposed().matmul(rows) }
          for index in values.indices {
            (found.values[index], found.biases[index]) = try g.groupedBackward(
              rows, values[index], reorder: reorder[index], scales: scales[index],
              addingTo: rides ? nil : found.input, needed: (needs.values[index], needs.biases[index]))
          }
          if needs.bias {
            // The sum over all rows, which a branch that dropped none has at hand.
            let whole = scales.indices.first { scales[$0] == nil && found.biases[$0] != nil }
            // A copy: libtorch keeps both, and changes each in place where gradients add up or are clipped.
            found.bias = try whole.flatMap { try found.biases[$0]?.clone() } ?? g.sum(0)
          }
          found.input = try found.input?.reshaped(shape)
          return operands.ordered(found)
        }
      )
    }[0]
  }
}

/// What the product is of, in the order in which it is handed to libtorch: absent biases are left out there.
private struct Operands {
  var input: Tensor
  var weight: Tensor?
  var bias: Tensor?
  var values: [Tensor]
  var biases: [Tensor?]

  init(input: Tensor, weight: Tensor?, bias: Tensor?, branches: [GroupedBranch]) {
    self.input = input
    self.weight = weight
    self.bias = bias
    values = branches.map(\.delta.values)
    biases = branches.map(\.bias)
  }

  private var all: [Tensor?] { [input, weight, bias] + values + biases }
  var present: [Tensor] { all.compactMap { $0 } }

  /// The same operands, as `given` in the order of `present`.
  func replaced(by given: [Tensor]) -> Operands {
    var next = given.makeIterator()
    var result = self
    result.input = next.next() ?? input
    result.weight = weight == nil ? nil : next.next()
    result.bias = bias == nil ? nil : next.next()
    result.values = values.map { next.next() ?? $0 }
    result.biases = biases.map { $0 == nil ? nil : next.next() }
    return result
  }

  struct Needs {
    var input, weight, bias: Bool
    var values, biases: [Bool]
  }

  func needs(_ present: [Bool]) -> Needs {
    var next = present.makeIterator()
    func take(_ operand: Tensor?) -> Bool { operand == nil ? false : next.next() ?? false }
    return Needs(
      input: take(input), weight: take(weight), bias: take(bias), values: values.map(take), biases: biases.map(take))
  }

  struct Gradients {
    var input, weight, bias: Tensor?
    var values, biases: [Tensor?]

    init(branches: Int) {
      values = [Tensor?](repeating: nil, count: branches)
      biases = values
    }
  }

  /// The gradients in the order of `present`.
  func ordered(_ gradients: Gradients) -> [Tensor?] {
    let slots = [gradients.input, gradients.weight, gradients.bias] + gradients.values + gradients.biases
    return zip(all, slots).filter { $0.0 != nil }.map(\.1)
  }
}
