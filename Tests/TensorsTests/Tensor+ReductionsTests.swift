import Foundation
import Tensors
import Testing

@Suite struct TensorReductionsTests {
  let x: Tensor

  init() throws { x = try Tensor([1, 2, 3, 4, 5, 9] as [Double], shape: [2, 3]) }

  @Test func `sums and means over all, one or two dimensions`() throws {
    #expect(try x.sum().item() == 24)
    #expect(try x.sum(0).doubles() == [5, 7, 12])
    #expect(try x.sum(-1).doubles() == [6, 18])
    #expect(try x.sum(0, 1, keep: true).shape == [1, 1])
    #expect(try x.mean().item() == 4)
    #expect(try x.mean(1, keep: true).doubles() == [2, 6])
    #expect(try x.mean(1, keep: true).shape == [2, 1])
    #expect(try Tensor(3.0).sum().item() == 3)
  }

  @Test func `extremes and truth`() throws {
    #expect(try x.max(0).doubles() == [4, 5, 9])
    #expect(try x.min(1).doubles() == [1, 4])
    #expect(try x.max().item() == 9)
    let mask = try x.isGreater(than: 3)
    #expect(try mask.all(1).array(of: Bool.self) == [false, true])
    #expect(try mask.any(1).array(of: Bool.self) == [false, true])
    #expect(try mask.any().array(of: Bool.self) == [true])
    #expect(try mask.all().array(of: Bool.self) == [false])
    #expect(throws: TorchError.self) { try Tensor.zeros([0]).max() }
  }

  @Test func `norm, variance and log-sum-exp by their formulas`() throws {
    try expectClose(x.norm(), [sqrt(136)], tolerance: 1e-12)
    try expectClose(x.norm(1), [sqrt(14), sqrt(122)], tolerance: 1e-12)
    try expectClose(x.variance(1), [1, 7], tolerance: 1e-12)
    try expectClose(x.variance(1, correction: 0), [2.0 / 3, 14.0 / 3], tolerance: 1e-12)
    try expectClose(x.variance(), [40.0 / 5], tolerance: 1e-12)
    try expectClose(x.logSumExp(1), [log(exp(1) + exp(2) + exp(3)), log(exp(4) + exp(5) + exp(9))], tolerance: 1e-12)
    try expectClose(Tensor([1_000, 1_000] as [Double]).logSumExp(), [1_000 + log(2)], tolerance: 1e-9)
  }

  @Test func `orders come with their indices, equals in place`() throws {
    let y = try Tensor([3, 1, 3, 2] as [Float])
    #expect(try y.argmax(0).array(of: Int64.self) == [0])
    let top = try y.topK(3)
    #expect(try top.values.floats() == [3, 3, 2])
    #expect(try Set(top.indices.integers()[..<2]) == [0, 2])
    #expect(try top.indices.integers()[2] == 3)
    let up = try y.sorted()
    #expect(try up.values.floats() == [1, 2, 3, 3])
    #expect(try up.indices.integers() == [1, 3, 0, 2])
    let down = try y.sorted(descending: true)
    #expect(try down.indices.integers() == [0, 2, 3, 1])
    let error = try thrown { _ = try y.topK(5) }
    #expect(error.operation == "topK" && error.operands == ["[4] float32"])
  }

  @Test func `running sums and counts`() throws {
    #expect(try x.cumulativeSum(1).doubles() == [1, 3, 6, 4, 9, 18])
    #expect(try Tensor([0, 2, 2, 1, 2] as [Int64]).occurrences(of: 5).integers() == [1, 1, 3, 0, 0])
    #expect(throws: TorchError.self) { try Tensor([-1] as [Int64]).occurrences(of: 2) }
  }

  @Test func `a dimension that is not there is refused`() throws {
    let error = try thrown { _ = try x.sum(2) }
    #expect(error.operation == "sum")
    #expect(error.operands == ["[2, 3] float64"])
    #expect(error.message.contains("got 2"))
  }
}
