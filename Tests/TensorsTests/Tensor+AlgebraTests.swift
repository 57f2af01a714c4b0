import Foundation
import Tensors
import Testing

@Suite struct TensorAlgebraTests {
  let a: Tensor
  let b: Tensor

  init() throws {
    a = try Tensor([1, 2, 3, 4, 5, 6] as [Double], shape: [2, 3])
    b = try Tensor([1, 0, 2, 1, 0, 3] as [Double], shape: [3, 2])
  }

  @Test func `products of matrices by hand`() throws {
    #expect(try a.matmul(b).doubles() == [5, 11, 14, 23])
    #expect(try a.matmul(Tensor([1, 1, 1] as [Double])).doubles() == [6, 15])
    let batch = try Tensor.stacked([a, a * 2])
    #expect(try batch.matmul(b).doubles() == [5, 11, 14, 23, 10, 22, 28, 46])
    let sum = try Tensor.ones([2, 2], dtype: .float64).addingProduct(a, b, alpha: 2, beta: -1)
    #expect(try sum.doubles() == [9, 21, 27, 45])
  }

  @Test func `a linear map multiplies by the transpose and adds its bias`() throws {
    let weight = try Tensor([1, 0, -1, 2, 1, 0] as [Double], shape: [2, 3])
    #expect(try a.linear(weight).doubles() == [-2, 4, -2, 13])
    #expect(try a.linear(weight, Tensor([10, 20] as [Double])).doubles() == [8, 24, 8, 33])
    let error = try thrown { _ = try a.linear(weight, Tensor.zeros([3], dtype: .float64)) }
    #expect(error.operation == "linear")
    #expect(error.operands == ["[2, 3] float64", "[2, 3] float64", "[3] float64"])
  }

  @Test func `sums over named indices`() throws {
    #expect(try Tensor.einsum("ij,jk->ki", a, b).doubles() == [5, 14, 11, 23])
    #expect(try Tensor.einsum("ij->", a).item() == 21)
    let error = try thrown { _ = try Tensor.einsum("ij,ij->ij", a, b) }
    #expect(error.operands == ["[2, 3] float64", "[3, 2] float64"])
  }

  @Test func `singular values descend, and the factors give the matrix back`() throws {
    let (u, s, vh) = try b.svd()
    #expect([u.shape, s.shape, vh.shape] == [[3, 2], [2], [2, 2]])
    try expectClose((u * s).matmul(vh), b.doubles(), tolerance: 1e-12)
    try expectClose(u.transposed().matmul(u), [1, 0, 0, 1], tolerance: 1e-12)
    // Bᵀ B = [[5, 2], [2, 10]], whose eigenvalues are 11.7016 and 3.2984: (15 ± √41) / 2.
    try expectClose(s.squared(), [(15 + sqrt(41)) / 2, (15 - sqrt(41)) / 2], tolerance: 1e-12)
  }

  @Test func `an orthonormal and a triangular factor give the matrix back`() throws {
    let (q, r) = try b.qr()
    try expectClose(q.matmul(r), b.doubles(), tolerance: 1e-12)
    try expectClose(q.transposed().matmul(q), [1, 0, 0, 1], tolerance: 1e-12)
    #expect(try r.doubles()[2] == 0)
    // The first column of B has length √5.
    try expectClose(r.select(0, 0).select(0, 0).abs(), [sqrt(5)], tolerance: 1e-12)
  }

  @Test func `a factorization of what is no matrix is refused`() throws {
    let error = try thrown { _ = try Tensor([1, 2] as [Double]).svd() }
    #expect(error.operation == "svd" && error.operands == ["[2] float64"])
    #expect(throws: TorchError.self) { try Tensor([1, 2] as [Int64]).qr() }
  }
}
