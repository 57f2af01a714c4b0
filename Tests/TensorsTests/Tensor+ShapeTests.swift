import Tensors
import Testing

@Suite struct TensorShapeTests {
  let x: Tensor

  init() throws { x = try Tensor.arange(0..<6).reshaped(2, 3) }

  @Test func `reshaping keeps the order, and works out one size`() throws {
    let y = try x.reshaped(3, -1)
    #expect(y.shape == [3, 2])
    #expect(try y.integers() == [0, 1, 2, 3, 4, 5])
    #expect(y.sharesStorage(with: x))
    let error = try thrown { _ = try x.reshaped(4, 2) }
    #expect(error.description == "reshaped of [2, 3] int64: shape '[4, 2]' is invalid for input of size 6")
  }

  @Test func `dimensions change places`() throws {
    #expect(try x.transposed().integers() == [0, 3, 1, 4, 2, 5])
    let y = try Tensor.arange(0..<8).reshaped(2, 2, 2).permuted(2, 0, 1)
    #expect(try y.integers() == [0, 2, 4, 6, 1, 3, 5, 7])
    #expect(try x.flipped(1).integers() == [2, 1, 0, 5, 4, 3])
    #expect(try x.flipped(0, 1).integers() == [5, 4, 3, 2, 1, 0])
    #expect(throws: TorchError.self) { try x.permuted(0, 0) }
  }

  @Test func `dimensions of one come, repeat and go`() throws {
    let y = try x.unsqueezed(1)
    #expect(y.shape == [2, 1, 3])
    let wide = try y.expanded(-1, 2, 3)
    #expect(try wide.integers() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5])
    #expect(wide.sharesStorage(with: x))
    #expect(try y.squeezed(1).shape == [2, 3])
    #expect(try y.squeezed(0).shape == [2, 1, 3])
  }

  @Test func `slices are views`() throws {
    #expect(try x.select(1, -1).integers() == [2, 5])
    let middle = try x.narrowed(1, 1..<3)
    #expect(try middle.integers() == [1, 2, 4, 5])
    #expect(middle.sharesStorage(with: x))
    #expect(try x.narrowed(1, 1..<1).shape == [2, 0])
    #expect(throws: TorchError.self) { try x.narrowed(1, 2..<4) }
    #expect(throws: TorchError.self) { try x.select(0, 2) }
  }

  @Test func `tensors join along a dimension there is, or a new one`() throws {
    let y = try x + 10
    #expect(try Tensor.concatenated([x, y], dimension: 1).integers() == [0, 1, 2, 10, 11, 12, 3, 4, 5, 13, 14, 15])
    #expect(try Tensor.concatenated([x, y]).shape == [4, 3])
    let pile = try Tensor.stacked([x, y], dimension: -1)
    #expect(pile.shape == [2, 3, 2])
    #expect(try pile.integers() == [0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15])
    let error = try thrown { _ = try Tensor.concatenated([x, Tensor.zeros([2, 4])]) }
    #expect(error.operation == "concatenated")
    #expect(error.operands == ["[2, 3] int64", "[2, 4] float32"])
    #expect(throws: TorchError.self) { try Tensor.concatenated([]) }
    #expect(throws: TorchError.self) { try Tensor.stacked([x, x.select(0, 0)]) }
  }

  @Test func `indices pick, gather and scatter`() throws {
    #expect(try x.selected(1, Tensor([2, 0] as [Int64])).integers() == [2, 0, 5, 3])
    let index = try Tensor([0, 2, 1, 1] as [Int64], shape: [2, 2])
    #expect(try x.gathered(1, index).integers() == [0, 2, 4, 4])
    let source = try Tensor([7, 8, 9, 9] as [Int64], shape: [2, 2])
    #expect(try x.scattered(1, index, source).integers() == [7, 1, 8, 3, 9, 5])
    #expect(try x.integers() == [0, 1, 2, 3, 4, 5])
  }

  @Test func `an index outside is refused, never read`() throws {
    let index = try Tensor([0, 3] as [Int64])
    #expect(throws: TorchError.self) { try x.selected(1, index) }
    #expect(throws: TorchError.self) { try x.gathered(1, index.reshaped(2, 1)) }
    #expect(throws: TorchError.self) { try x.scattered(1, index.reshaped(2, 1), index.reshaped(2, 1)) }
    #expect(throws: TorchError.self) { try index.oneHot(3) }
    #expect(throws: TorchError.self) { try x.embedding(Tensor([2] as [Int64])) }
  }

  @Test func `masks select, and places that are not zero are listed`() throws {
    let odd = try Tensor([false, true, false, true, false, true]).reshaped(2, 3)
    #expect(try x.masked(odd).integers() == [1, 3, 5])
    #expect(try odd.nonzero().integers() == [0, 1, 1, 0, 1, 2])
    #expect(try odd.not().and(odd).nonzero().shape == [0, 2])
  }

  @Test func `classes become rows with a single one`() throws {
    #expect(try Tensor([2, 0] as [Int64]).oneHot(3).integers() == [0, 0, 1, 1, 0, 0])
  }
}
