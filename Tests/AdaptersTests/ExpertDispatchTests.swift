import Tensors
import Testing

@testable import Adapters

@Suite struct ExpertDispatchTests {
  let rows: Tensor
  let experts: [Tensor]
  let weights: Tensor

  init() throws {
    let generator = try Generator(seed: 2)
    rows = try generator.normal(9, 5).requiringGradient()
    experts = try (0..<4).map { _ in try generator.normal(5, 7).requiringGradient() }
    weights = try generator.normal(9, 7)
  }

  /// Gates that give each of the nine tokens `chosen` of the experts 0, 1 and 3; expert 2 gets none.
  func gates(_ chosen: Int) throws -> Tensor {
    let order = [0, 3, 1]
    var gates = [Double](repeating: 0, count: 36)
    for token in 0..<9 {
      for place in 0..<chosen {
        gates[token * 4 + order[(token + place) % 3]] = 0.2 + Double(token) / 20 + Double(place) / 7
      }
    }
    return try Tensor(gates, shape: [9, 4]).requiringGradient()
  }

  /// Every expert for every token, then the gates.
  func dense(_ gates: Tensor) throws -> Tensor {
    try experts.enumerated().map { try rows.matmul($1) * gates.narrowed(1, $0..<$0 + 1) }
      .reduce(Tensor.zeros([9, 7], dtype: .float64)) { try $0 + $1 }
  }

  @Test(arguments: [1, 2, 3])
  func `outputs and gradients are those of the dense masked sum`(_ chosen: Int) throws {
    let gates = try gates(chosen)
    let mask = try gates.isGreater(than: 0).to(.float64)
    let found = try ExpertDispatch.apply(rows, gates: gates, experts: experts)
    let expected = try dense(gates * mask)
    try expectClose(found, expected)
    let leaves = [rows, gates] + experts
    let ours = try gradients(of: (found.squared() * weights).sum(), leaves)
    let theirs = try gradients(of: (expected.squared() * weights).sum(), leaves)
    for (ours, theirs) in zip(ours, theirs) { try expectClose(ours, theirs) }
    #expect(try ours[4].abs().max().item() == 0)
    #expect(try ours[3].abs().max().item() > 0)
  }

  @Test(arguments: [1, 2])
  func `finite differences`(_ chosen: Int) throws {
    let gates = try gates(chosen)
    func loss() throws -> Tensor {
      try (ExpertDispatch.apply(rows, gates: gates, experts: experts).sin() * weights).sum()
    }
    let leaves = [rows] + experts
    for (gradient, leaf) in zip(try gradients(of: loss(), leaves), leaves) {
      try expectClose(gradient, differences(of: leaf, loss), tolerance: 1e-8)
    }
  }

  @Test func `every token to one expert is one product`() throws {
    let gates = try Tensor([0, 0, 1, 0] as [Double], shape: [1, 4]).expanded(9, 4)
    try expectClose(ExpertDispatch.apply(rows, gates: gates, experts: experts), rows.matmul(experts[2]))
  }

  @Test func `a token with no gate gets zeros, and tokens of no expert at all are no error`() throws {
    let gates = try Tensor.zeros([9, 4], dtype: .float64).requiringGradient()
    let found = try ExpertDispatch.apply(rows, gates: gates, experts: experts)
    #expect(try found.isEqual(to: found.zerosLike()))
    for gradient in try gradients(of: found.sum(), [rows] + experts) {
      #expect(try gradient.abs().max().item() == 0)
    }
  }

  @Test func `a NaN reaches its own token's output and no other's`() throws {
    let poisoned = try rows.detached().clone()
    try poisoned.select(0, 4).fillInPlace(.nan)
    let found = try ExpertDispatch.apply(poisoned, gates: gates(1), experts: experts)
    let finite = try found.isFinite().all(1).integers()
    #expect(finite == [1, 1, 1, 1, 0, 1, 1, 1, 1])
  }

  @Test func `under bfloat16 autocast the products are bfloat16's, the gradients the inputs' dtype`() throws {
    func float(_ tensor: Tensor) throws -> Tensor { try tensor.detached().to(.float32).requiringGradient() }
    let leaves = try ([rows, gates(2)] + experts).map(float)
    let exact = try ExpertDispatch.apply(leaves[0], gates: leaves[1], experts: Array(leaves[2...]))
    let rounded = try withAutocast(.bfloat16, on: .cpu) {
      try ExpertDispatch.apply(leaves[0], gates: leaves[1], experts: Array(leaves[2...]))
    }
    #expect(rounded.dtype == .bfloat16)
    try expectClose(rounded, exact, tolerance: 0.02)
    let ours = try gradients(of: rounded.to(.float32).sum(), leaves)
    for (ours, exact) in zip(ours, try gradients(of: exact.sum(), leaves)) {
      #expect(ours.dtype == .float32)
      try expectClose(ours, exact, tolerance: 0.02)
    }
  }
}
