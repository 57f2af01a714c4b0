import Tensors
import Testing

@Suite struct GradientsTests {
  let x: Tensor

  init() throws { x = try Tensor([0.3, -1.2, 2, 0.7, -0.1, 1.5] as [Double], shape: [2, 3]) }

  @Test(
    arguments: [
      ("power", { @Sendable in try $0.power(3).sum() }),
      ("softmax", { @Sendable in try $0.softmax().squared().sum() }),
      ("layer norm", { @Sendable in try $0.layerNorm(width: 3, weight: nil, bias: nil, epsilon: 1e-3).power(3).sum() }),
      ("quickGELU", { @Sendable in try $0.quickGELU().sum() }),
      ("gelu", { @Sendable in try ($0.gelu() * $0).mean() }),
      ("product", { @Sendable in try $0.matmul($0.transposed()).tanh().sum() }),
      ("norm", { @Sendable in try ($0 / $0.norm(1, keep: true)).select(1, 0).sum() }),
      ("log-sum-exp", { @Sendable in try $0.logSumExp(0).squared().sum() }),
      ("choice", { @Sendable in try $0.narrowed(1, 1..<3).flipped(0).cumulativeSum(0).squared().sum() }),
    ] as [(String, @Sendable (Tensor) throws -> Tensor)])
  func `gradients agree with differences`(name: String, function: @Sendable (Tensor) throws -> Tensor) throws {
    try expectClose(backwardGradient(at: x, function), numericGradient(at: x, function), tolerance: 1e-7)
  }

  @Test func `backward adds to the gradients of leaves`() throws {
    let leaf = try x.clone().requiringGradient()
    #expect(leaf.requiresGradient && leaf.isLeaf)
    #expect(try leaf.gradient() == nil)
    let y = try leaf * 2
    #expect(y.requiresGradient && !y.isLeaf)
    try y.backward(Tensor([1, 2, 3, 4, 5, 6] as [Double], shape: [2, 3]))
    #expect(try leaf.gradient()?.doubles() == [2, 4, 6, 8, 10, 12])
    try (leaf * 1).sum().backward()
    #expect(try leaf.gradient()?.doubles() == [3, 5, 7, 9, 11, 13])
    try leaf.setGradient(nil)
    #expect(try leaf.gradient() == nil)
    try leaf.setGradient(x)
    #expect(try leaf.gradient()?.isEqual(to: x) == true)
  }

  @Test func `gradients for chosen inputs leave the leaves alone`() throws {
    let (a, b, unused) = (
      try x.clone().requiringGradient(), try (x + 1).requiringGradient(), try x.clone().requiringGradient()
    )
    let gradients = try (a * b).sum().gradients([b, unused, a])
    #expect(try gradients[0]?.doubles() == x.doubles())
    #expect(gradients[1] == nil)
    #expect(try gradients[2]?.doubles() == (x + 1).doubles())
    #expect(try a.gradient() == nil)
  }

  @Test func `gradients of gradients, for built-in functions`() throws {
    let leaf = try Tensor([2, -3] as [Double]).requiringGradient()
    let first = try #require(try leaf.power(3).sum().gradients([leaf], create: true)[0])
    #expect(try first.doubles() == [12, 27])
    #expect(try first.sum().gradients([leaf])[0]?.doubles() == [12, -18])
  }

  @Test func `no graph is recorded without gradients, and inside again with them`() throws {
    let leaf = try x.clone().requiringGradient()
    let recorded = try withoutGradients {
      try leaf.fillInPlace(1)
      let outer = try (leaf * 2).requiresGradient
      let inner = try withGradients { try (leaf * 2).requiresGradient }
      return [outer, inner, try (leaf * 2).requiresGradient]
    }
    #expect(recorded == [false, true, false])
    #expect(try (leaf * 2).requiresGradient)
    #expect(throws: CancellationError.self) { try withoutGradients { throw CancellationError() } }
    #expect(try (leaf * 2).requiresGradient)
    #expect(try leaf.detached().requiresGradient == false)
    #expect(try leaf.detached().sharesStorage(with: leaf))
  }

  @Test func `misuse of the graph is refused`() throws {
    let leaf = try x.clone().requiringGradient()
    #expect(try thrown { try (leaf * 2).backward() }.operands == ["[2, 3] float64"])
    #expect(try thrown { try x.sum().backward() }.operation == "backward")
    #expect(try thrown { try leaf.addInPlace(x) }.operation == "addInPlace")
    #expect(
      try thrown { try (leaf * 2).backward(Tensor.ones([3], dtype: .float64)) }.operands
        == ["[2, 3] float64", "[3] float64"])
    #expect(throws: TorchError.self) { try Tensor([1] as [Int64]).requiringGradient() }
    let square = try leaf.squared().sum()
    try square.backward()
    #expect(throws: TorchError.self) { try square.backward() }
    let kept = try leaf.squared().sum()
    try kept.backward(retain: true)
    try kept.backward()
    try expectClose(#require(try leaf.gradient()), x.doubles().map { 6 * $0 }, tolerance: 1e-12)
  }

  @Test func `a gradient that does not fit its tensor is refused`() throws {
    let leaf = try x.clone().requiringGradient()
    for wrong in [try Tensor.zeros([3], dtype: .float64), try Tensor.zeros([2, 3])] {
      let error = try thrown { try leaf.setGradient(wrong) }
      #expect(error.operation == "setGradient")
      #expect(error.operands == ["[2, 3] float64", wrong.summary])
    }
    #expect(try leaf.gradient() == nil)
  }

  @Test func `autocast runs products in bfloat16 and keeps the rest, and gradients, in float32`() throws {
    let generator = try Generator(seed: 1)
    let input = try Tensor.normal([4, 8], from: generator)
    let weight = try Tensor.normal([3, 8], from: generator).requiringGradient()
    #expect(autocastDType(on: .cpu) == nil)
    let output = try withAutocast(.bfloat16, on: .cpu) {
      #expect(autocastDType(on: .cpu) == .bfloat16)
      #expect(try input.matmul(input.transposed()).dtype == .bfloat16)
      #expect(try input.layerNorm(width: 8, weight: nil, bias: nil, epsilon: 1e-5).dtype == .float32)
      return try input.linear(weight)
    }
    #expect(autocastDType(on: .cpu) == nil)
    #expect(output.dtype == .bfloat16)
    let rounded = try input.to(.bfloat16).linear(weight.detached().to(.bfloat16))
    #expect(try output.isEqual(to: rounded))
    #expect(try input.linear(weight).dtype == .float32)
    try output.to(.float32).sum().backward()
    let gradient = try #require(try weight.gradient())
    #expect(gradient.dtype == .float32)
    let column = try input.to(.bfloat16).to(.float32).sum(0, keep: true).expanded(3, 8)
    #expect(try gradient.isClose(to: column, tolerance: 0.02, relative: 0.01))
  }

  @Test func `autocast nests, is undone by errors, and takes half precisions only`() throws {
    #expect(throws: CancellationError.self) {
      try withAutocast(.bfloat16, on: .cpu) {
        try withAutocast(.float16, on: .cpu) { #expect(autocastDType(on: .cpu) == .float16) }
        #expect(autocastDType(on: .cpu) == .bfloat16)
        throw CancellationError()
      }
    }
    #expect(autocastDType(on: .cpu) == nil)
    let error = try thrown { try withAutocast(.int32, on: .cpu) {} }
    #expect(error.description == "autocast: matrix products run in bfloat16 or float16, not in int32.")
  }
}
