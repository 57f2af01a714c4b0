import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// Random factors, float64: `in = dimension · inner`, `out = dimension · outer`.
func kronecker(_ dimension: Int, _ inner: Int, _ outer: Int, rank: Int, seed: UInt64 = 1) throws -> KroneckerDelta {
  let generator = try Generator(seed: seed)
  return KroneckerDelta(
    coarseLeft: try generator.normal(dimension, dimension), coarseRight: try generator.normal(dimension, dimension),
    fineLeft: try generator.normal(dimension, inner, rank), fineRight: try generator.normal(dimension, rank, outer))
}

/// `A ⊗ B` from its definition.
func kroneckerProduct(_ a: Tensor, _ b: Tensor) throws -> Tensor {
  try Tensor.einsum("ac,pq->apcq", a, b).reshaped(a.shape[0] * b.shape[0], a.shape[1] * b.shape[1])
}

@Suite struct KroneckerDeltaTests {
  @Test(arguments: [(3, 4, 6, 2), (2, 1, 5, 1), (4, 3, 1, 8), (1, 5, 7, 3)])
  func `structured, dense and textbook forms agree`(_ dimension: Int, _ inner: Int, _ outer: Int, _ rank: Int) throws {
    let delta = try kronecker(dimension, inner, outer, rank: rank)
    let l = try delta.coarseLeft.doubles()
    let rho = try delta.coarseRight.doubles()
    let u = try delta.fineLeft.doubles()
    let v = try delta.fineRight.doubles()
    // H[a·i + p, c·o + q] = Σ_t l[t,a] · ρ[t,c] · Σ_k U[t,p,k] · V[t,k,q], number by number.
    var textbook = [Double](repeating: 0, count: dimension * inner * dimension * outer)
    for a in 0..<dimension {
      for p in 0..<inner {
        for c in 0..<dimension {
          for q in 0..<outer {
            for t in 0..<dimension {
              for k in 0..<rank {
                textbook[(a * inner + p) * dimension * outer + c * outer + q] +=
                  l[t * dimension + a] * rho[t * dimension + c] * u[(t * inner + p) * rank + k]
                  * v[(t * rank + k) * outer + q]
              }
            }
          }
        }
      }
    }
    let rowForm = try Tensor(textbook, shape: [dimension * inner, dimension * outer])
    try expectClose(delta.rowForm(), rowForm)
    try expectClose(delta.materialized(), rowForm.transposed())
    #expect([delta.inFeatures, delta.outFeatures] == [dimension * inner, dimension * outer])
    let input = try Generator(seed: 2).normal(2, 3, dimension * inner)
    try expectClose(delta.apply(to: input), input.matmul(rowForm))
    let sum = try (0..<dimension).map { t in
      let coarse = try delta.coarseLeft.select(0, t).unsqueezed(1) * delta.coarseRight.select(0, t).unsqueezed(0)
      return try kroneckerProduct(coarse, delta.fineLeft.select(0, t).matmul(delta.fineRight.select(0, t)))
    }.reduce(rowForm.zerosLike()) { try $0 + $1 }
    try expectClose(sum, rowForm)
  }

  @Test(arguments: [(4, 3, 5, 1, 4), (4, 3, 5, 2, 8), (4, 3, 5, 3, 12), (4, 3, 5, 8, 12), (3, 6, 2, 4, 6)])
  func `random factors reach rank min(P r, in, out)`(
    _ dimension: Int, _ inner: Int, _ outer: Int, _ rank: Int, _ expected: Int
  ) throws {
    let singular = try kronecker(dimension, inner, outer, rank: rank).materialized().svd().s.doubles()
    #expect(singular.filter { $0 > singular[0] * 1e-10 }.count == expected)
  }

  @Test func `products of Kronecker products are Kronecker products of products`() throws {
    func first(_ delta: KroneckerDelta) throws -> KroneckerDelta {
      let only = try Tensor([1, 0, 0] as [Double], shape: [3, 1])
      return KroneckerDelta(
        coarseLeft: try delta.coarseLeft * only, coarseRight: delta.coarseRight, fineLeft: delta.fineLeft,
        fineRight: delta.fineRight)
    }
    // (A⊗B)(C⊗D) = AC⊗BD, with A = l ρᵀ and C = l' ρ'ᵀ: AC = (ρ·l') l ρ'ᵀ.
    let left = try first(kronecker(3, 2, 4, rank: 2, seed: 1))
    let right = try first(kronecker(3, 4, 5, rank: 3, seed: 2))
    let overlap = try (left.coarseRight.select(0, 0) * right.coarseLeft.select(0, 0)).sum()
    let product = KroneckerDelta(
      coarseLeft: try left.coarseLeft * overlap, coarseRight: right.coarseRight,
      fineLeft: try left.fineLeft.matmul(left.fineRight), fineRight: try right.fineLeft.matmul(right.fineRight))
    let input = try Generator(seed: 3).normal(4, 6)
    try expectClose(right.apply(to: left.apply(to: input)), product.apply(to: input))
    try expectClose(left.rowForm().matmul(right.rowForm()), product.rowForm())
  }

  @Test func `dimension 1 is a scaled low-rank update`() throws {
    let delta = try kronecker(1, 5, 7, rank: 3)
    let scale = try delta.coarseLeft.item() * delta.coarseRight.item()
    let low = LowRankDelta(
      down: try delta.fineLeft.select(0, 0).transposed(), up: try delta.fineRight.select(0, 0).transposed(),
      scale: scale)
    try expectClose(delta.materialized(), low.materialized())
  }

  @Test func `blocks of one element leave the coarse factors, weighted`() throws {
    let delta = try kronecker(4, 1, 1, rank: 2)
    let fine = try delta.fineLeft.matmul(delta.fineRight).reshaped(4, 1)
    try expectClose(delta.rowForm(), delta.coarseLeft.transposed().matmul(delta.coarseRight * fine))
  }

  @Test func `a factor moved from one side to the other changes nothing`() throws {
    let delta = try kronecker(3, 2, 4, rank: 2)
    let coarse = KroneckerDelta(
      coarseLeft: try delta.coarseLeft * -3.5, coarseRight: try delta.coarseRight / -3.5, fineLeft: delta.fineLeft,
      fineRight: delta.fineRight)
    let fine = KroneckerDelta(
      coarseLeft: delta.coarseLeft, coarseRight: delta.coarseRight, fineLeft: try delta.fineLeft * 0.125,
      fineRight: try delta.fineRight / 0.125)
    try expectClose(coarse.materialized(), delta.materialized())
    try expectClose(fine.materialized(), delta.materialized())
  }

  @Test(arguments: [true, false])
  func `the numbers of the reference layer`(structured: Bool) throws {
    let reference = try Fixture("single_layer_deltas")
    func parameter(_ name: String) throws -> Tensor { try reference.parameter("kronecker_rank_one.\(name)").value }
    let names = ["l", "rho", "U", "V", "x"]
    let leaves = try names.map(parameter)
    let delta = KroneckerDelta(
      coarseLeft: leaves[0], coarseRight: leaves[1], fineLeft: leaves[2], fineRight: leaves[3])
    #expect(delta.factors.count == 4)
    let base = try leaves[4].linear(
      reference["kronecker_rank_one.weight"], reference["kronecker_rank_one.bias"])
    let change = structured ? try delta.apply(to: leaves[4]) : try leaves[4].linear(delta.materialized())
    let y = try base + change
    try expectClose(delta.materialized(), reference["kronecker_rank_one.delta"])
    try expectClose(y, reference["kronecker_rank_one.y"])
    let found = try gradients(of: (y * reference["kronecker_rank_one.y.weights"]).sum(), leaves)
    for (found, name) in zip(found, names) {
      try expectClose(found, reference["kronecker_rank_one.gradient.\(name)"])
    }
  }

  @Test func `gates weigh the hidden columns of each token`() throws {
    let delta = try kronecker(3, 2, 4, rank: 3)
    let generator = try Generator(seed: 4)
    let rows = try generator.normal(5, 6)
    let gates = try generator.normal(5, 3)
    let found = try KroneckerDelta.apply(
      to: rows, coarseLeft: delta.coarseLeft, coarseRight: delta.coarseRight, fineLeft: delta.fineLeft,
      fineRight: delta.fineRight, gates: gates)
    let columns = try (0..<3).map { k in
      let one = KroneckerDelta(
        coarseLeft: delta.coarseLeft, coarseRight: delta.coarseRight,
        fineLeft: try delta.fineLeft.narrowed(2, k..<k + 1), fineRight: try delta.fineRight.narrowed(1, k..<k + 1))
      return try one.apply(to: rows) * gates.narrowed(1, k..<k + 1)
    }
    try expectClose(found, columns[0] + columns[1] + columns[2])
  }
}
