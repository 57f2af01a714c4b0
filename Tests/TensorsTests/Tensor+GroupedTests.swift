import Tensors
import Testing

@Suite struct TensorGroupedTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var groups: Int
    var inputs: Int
    var outputs: Int
    var reorder = false
    var dtype = DType.float64
    /// Rows of one sample; there are three samples.
    var rows = 7
    var testDescription: String { "\(groups) of \(outputs)×\(inputs), \(reorder ? "reordered" : "plain"), \(dtype)" }
  }

  static let cases = [
    Case(groups: 1, inputs: 1, outputs: 1), Case(groups: 3, inputs: 2, outputs: 1, rows: 1),
    Case(groups: 4, inputs: 2, outputs: 6), Case(groups: 16, inputs: 8, outputs: 2, rows: 32),
    Case(groups: 5, inputs: 3, outputs: 7, rows: 11), Case(groups: 2, inputs: 40, outputs: 48),
    Case(groups: 1, inputs: 9, outputs: 5), Case(groups: 24, inputs: 2, outputs: 2, rows: 300),
  ].flatMap { plain in
    [false, true].flatMap { reorder in
      [DType.float32, .float64].map { dtype in
        var variant = plain
        (variant.reorder, variant.dtype) = (reorder, dtype)
        return variant
      }
    }
  }

  /// The operands of a case, with a middle sample that is dropped.
  struct Operands {
    let input: Tensor
    let output: Tensor
    let values: Tensor
    let bias: Tensor
    let scales: Tensor

    init(_ shape: Case) throws {
      let generator = try Generator(seed: 3)
      func normal(_ shape: Int..., dtype: DType) throws -> Tensor {
        try Tensor.normal(shape, dtype: .float64, from: generator).to(dtype)
      }
      let dtype = shape.dtype
      input = try normal(3 * shape.rows, shape.groups * shape.inputs, dtype: dtype)
      output = try normal(3 * shape.rows, shape.groups * shape.outputs, dtype: dtype)
      values = try normal(shape.groups, shape.outputs, shape.inputs, dtype: dtype)
      bias = try normal(shape.groups * shape.outputs, dtype: dtype)
      scales = try Tensor([2, 0, 0.5] as [Double]).to(dtype)
    }

    /// One factor for each row, float64.
    func factors(rows: Int) throws -> Tensor {
      try scales.to(.float64).reshaped(3, 1).expanded(3, rows).reshaped(3 * rows, 1)
    }
  }

  /// The block-diagonal matrix by its definition, `[groups · o, groups · i]`, float64.
  private func dense(_ values: Tensor, reorder: Bool) throws -> Tensor {
    let (groups, outputs, inputs) = (values.shape[0], values.shape[1], values.shape[2])
    let numbers = try values.to(.float64).doubles()
    var matrix = [Double](repeating: 0, count: groups * outputs * groups * inputs)
    for group in 0..<groups {
      for output in 0..<outputs {
        for input in 0..<inputs {
          let place = group * inputs + input
          let column = reorder ? place % groups * inputs + place / groups : place
          matrix[(group * outputs + output) * groups * inputs + column] =
            numbers[(group * outputs + output) * inputs + input]
        }
      }
    }
    return try Tensor(matrix, shape: [groups * outputs, groups * inputs])
  }

  private func expectNear(_ found: Tensor?, _ expected: Tensor) throws {
    let found = try #require(found)
    #expect(found.shape == expected.shape)
    let scale = try max(1, expected.abs().max().item())
    let tolerance = found.dtype == .float64 ? 1e-13 : 2e-6
    #expect(try (found.to(.float64) - expected).abs().max().item() / scale < tolerance)
  }

  @Test func `a plain and a reordered product by hand`() throws {
    let x = try Tensor([1, 2, 3, 4, 5, 6] as [Double], shape: [1, 6])
    let values = try Tensor((1...12).map(Double.init), shape: [2, 2, 3])
    let plain = try Tensor.zeros([1, 4], dtype: .float64)
    try plain.addGroupedInPlace(x, values)
    #expect(try plain.doubles() == [14, 32, 122, 167])
    let reordered = try Tensor.zeros([1, 4], dtype: .float64)
    try reordered.addGroupedInPlace(x, values, reorder: true)
    #expect(try reordered.doubles() == [15, 36, 113, 155])
  }

  @Test(arguments: cases)
  func `a product is that of the dense matrix, added in place`(_ shape: Case) throws {
    let given = try Operands(shape)
    let product = try given.input.to(.float64).matmul(dense(given.values, reorder: shape.reorder).transposed())
    let before = try given.output.to(.float64)
    let plain = try given.output.clone()
    try plain.addGroupedInPlace(given.input, given.values, reorder: shape.reorder)
    try expectNear(plain, before + product)
    let masked = try given.output.clone()
    try masked.addGroupedInPlace(
      given.input, given.values, reorder: shape.reorder, bias: given.bias, scales: given.scales)
    try expectNear(masked, before + (product + given.bias.to(.float64)) * given.factors(rows: shape.rows))
  }

  @Test(arguments: cases)
  func `gradients are those of the dense matrix, gathered where blocks are`(_ shape: Case) throws {
    let given = try Operands(shape)
    let leaves = try [
      given.input.to(.float64), dense(given.values, reorder: shape.reorder), given.bias.to(.float64),
    ].map { try $0.clone().requiringGradient() }
    let product = try (leaves[0].matmul(leaves[1].transposed()) + leaves[2]) * given.factors(rows: shape.rows)
    let expected = try (product * given.output.to(.float64)).sum().gradients(leaves).map { try #require($0) }

    let start = try given.input.squared()
    let toInput = try start.clone()
    let found = try given.output.groupedBackward(
      given.input, given.values, reorder: shape.reorder, scales: given.scales, addingTo: toInput,
      needed: (values: true, bias: true))
    try expectNear(toInput, start.to(.float64) + expected[0])
    try expectNear(found.bias, expected[2])
    // The places that blocks occupy, in the blocks' order.
    let places = (1...given.values.count).map(Double.init)
    let marked = try dense(Tensor(places, shape: given.values.shape), reorder: shape.reorder).doubles()
    let gradient = try expected[1].doubles()
    var gathered = [Double](repeating: 0, count: places.count)
    for (mark, value) in zip(marked, gradient) where mark > 0 { gathered[Int(mark) - 1] = value }
    try expectNear(found.values, Tensor(gathered, shape: given.values.shape))
  }

  @Test func `only the gradients asked for are computed`() throws {
    let given = try Operands(Case(groups: 4, inputs: 2, outputs: 6))
    let all = try given.output.groupedBackward(
      given.input, given.values, addingTo: nil, needed: (values: true, bias: true))
    let values = try given.output.groupedBackward(
      given.input, given.values, addingTo: nil, needed: (values: true, bias: false))
    #expect(values.bias == nil)
    #expect(try #require(values.values).isEqual(to: #require(all.values)))
    let bias = try given.output.groupedBackward(
      given.input, given.values, addingTo: nil, needed: (values: false, bias: true))
    #expect(bias.values == nil)
    #expect(try #require(bias.bias).isEqual(to: #require(all.bias)))
  }

  @Test func `a dropped sample is not looked at, nor its row touched`() throws {
    let given = try Operands(Case(groups: 4, inputs: 2, outputs: 6))
    let poisoned = try Tensor.concatenated([
      given.input.narrowed(0, 0..<7), given.input.narrowed(0, 7..<14) * .nan, given.input.narrowed(0, 14..<21),
    ])
    let output = try given.output.clone()
    try output.addGroupedInPlace(poisoned, given.values, bias: given.bias, scales: given.scales)
    #expect(try output.narrowed(0, 7..<14).isEqual(to: given.output.narrowed(0, 7..<14)))
    #expect(try output.isFinite().all().item() == 1)
    let found = try given.output.groupedBackward(
      poisoned, given.values, scales: given.scales, addingTo: nil, needed: (values: true, bias: true))
    #expect(try #require(found.values).isFinite().all().item() == 1)
    let none = try given.output.groupedBackward(
      given.input, given.values, scales: .zeros([3], dtype: .float64), addingTo: nil, needed: (values: true, bias: true)
    )
    #expect(try #require(none.values).isEqual(to: given.values.zerosLike()))
    #expect(try #require(none.bias).isEqual(to: given.bias.zerosLike()))
  }

  @Test func `any number of threads gives the same bits`() throws {
    var shape = Case(groups: 24, inputs: 2, outputs: 6, reorder: true, dtype: .float32)
    shape.rows = 700
    let given = try Operands(shape)
    let before = Threads.count
    defer { Threads.count = before }
    let results = try [1, 2, 3].map { threads in
      Threads.count = threads
      let (output, toInput) = (try given.output.clone(), try given.input.zerosLike())
      try output.addGroupedInPlace(given.input, given.values, reorder: true, bias: given.bias, scales: given.scales)
      let gradients = try given.output.groupedBackward(
        given.input, given.values, reorder: true, scales: given.scales, addingTo: toInput,
        needed: (values: true, bias: true))
      return [output, toInput, try #require(gradients.values), try #require(gradients.bias)]
    }
    for other in results.dropFirst() {
      for (one, two) in zip(results[0], other) { #expect(try one.isEqual(to: two)) }
    }
  }

  @Test func `bfloat16 goes through libtorch's products`() throws {
    var shape = Case(groups: 4, inputs: 2, outputs: 6, reorder: true)
    shape.dtype = .bfloat16
    let given = try Operands(shape)
    let product = try given.input.to(.float64).matmul(dense(given.values, reorder: true).transposed())
    let output = try given.output.zerosLike()
    try output.addGroupedInPlace(given.input, given.values, reorder: true)
    #expect(try (output.to(.float64) - product).norm().item() / product.norm().item() < 0.01)
  }

  @Test func `operands that do not fit are refused`() throws {
    let given = try Operands(Case(groups: 4, inputs: 2, outputs: 6))
    let flat = try given.values.reshaped(24, 2)
    #expect(throws: TorchError.self) { try given.output.addGroupedInPlace(given.input, flat) }
    #expect(throws: TorchError.self) { try given.input.addGroupedInPlace(given.input, given.values) }
    #expect(throws: TorchError.self) {
      try given.output.addGroupedInPlace(given.input.narrowed(0, 0..<20), given.values)
    }
    #expect(throws: TorchError.self) {
      try given.output.addGroupedInPlace(given.input, given.values, bias: given.bias.narrowed(0, 0..<23))
    }
    let error = try thrown {
      try given.output.addGroupedInPlace(given.input, given.values, scales: .ones([4], dtype: .float64))
    }
    #expect(error.message == "factors of shape [4] do not divide 21 rows")
    let gaps = try given.output.transposed().contiguous().transposed()
    #expect(throws: TorchError.self) { try gaps.addGroupedInPlace(given.input, given.values) }
    #expect(throws: TorchError.self) {
      _ = try given.output.groupedBackward(
        given.input, given.values, addingTo: given.output.clone(), needed: (values: true, bias: true))
    }
  }
}
