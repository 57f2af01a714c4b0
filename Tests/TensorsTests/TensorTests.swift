import Tensors
import Testing

@Suite struct TensorTests {
  @Test func `numbers come back in row-major order`() throws {
    let tensor = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
    #expect(tensor.shape == [2, 3])
    #expect(tensor.rank == 2)
    #expect(tensor.count == 6)
    #expect(tensor.dtype == .float32)
    #expect(tensor.device == .cpu)
    #expect(try tensor.transposed().array(of: Float.self) == [1, 4, 2, 5, 3, 6])
    #expect(try Tensor(2.5).item() == 2.5)
    #expect(try Tensor(Int64(7)).integer() == 7)
    #expect(try Tensor([Float]()).floats() == [])
  }

  @Test func `sizes are asked for from either end`() throws {
    let tensor = try Tensor.zeros([2, 3, 4])
    #expect([tensor.size(0), tensor.size(-1), tensor.size(-3)] == [2, 4, 2])
    #expect([tensor.size(3), tensor.size(-4), tensor.size(.min)] == [nil, nil, nil])
  }

  @Test func `constant tensors hold their constant`() throws {
    #expect(try Tensor.zeros([2]).floats() == [0, 0])
    #expect(try Tensor.ones([2], dtype: .int32).array(of: Int32.self) == [1, 1])
    #expect(try Tensor.full(-1.5, [2], dtype: .float64).array(of: Double.self) == [-1.5, -1.5])
    #expect(try Tensor.ones([2], dtype: .bool).array(of: Bool.self) == [true, true])
    #expect(try Tensor.arange(-1..<3).array(of: Int64.self) == [-1, 0, 1, 2])
    #expect(try Tensor.identity(2, 3).floats() == [1, 0, 0, 0, 1, 0])
    let like = try Tensor.ones([2, 1], dtype: .bfloat16).zerosLike()
    #expect(like.shape == [2, 1] && like.dtype == .bfloat16)
    #expect(try like.floats() == [0, 0])
  }

  @Test(arguments: DType.allCases)
  func `every dtype keeps small whole numbers, and its bytes come back`(dtype: DType) throws {
    let expected: [Double] = dtype == .bool ? [0, 1, 1, 0] : [0, 1, 100, 3]
    let tensor = try Tensor([0, 1, 100, dtype == .bool ? 0 : 3] as [Double], shape: [2, 2]).to(dtype)
    #expect(tensor.dtype == dtype)
    #expect(try tensor.doubles() == expected)
    let copy = try tensor.withBytes { bytes in
      #expect(bytes.count == 4 * dtype.size)
      return try Tensor(bytes: bytes, shape: [2, 2], dtype: dtype)
    }
    #expect(try copy.isEqual(to: tensor))
    #expect(copy.sharesStorage(with: tensor) == false)
  }

  @Test func `bytes that are no truth value read as true`() throws {
    let owner = Numbers<UInt8>([0, 1, 2, 255], Counter())
    #expect(
      try Tensor(bytes: owner.bytes, shape: [4], dtype: .bool).array(of: Bool.self) == [false, true, true, true])
    #expect(
      try Tensor(sharing: owner.bytes, shape: [4], dtype: .bool, owner: owner).array(of: Bool.self)
        == [false, true, true, true])
  }

  @Test func `a shape that the numbers do not fill is refused`() throws {
    #expect(throws: TensorError.count(3, shape: [2, 2])) { try Tensor([1, 2, 3] as [Float], shape: [2, 2]) }
    #expect(throws: TensorError.count(1, shape: [-1, -1])) { try Tensor([1] as [Float], shape: [-1, -1]) }
    #expect(throws: TensorError.count(1, shape: [.max, 2])) { try Tensor([1] as [Float], shape: [.max, 2]) }
    let bytes = Numbers<Float>([1], Counter())
    #expect(throws: TensorError.count(1, shape: [1 << 62])) {
      try Tensor(bytes: bytes.bytes, shape: [1 << 62], dtype: .float32)
    }
    #expect(throws: TensorError.count(1, shape: [1 << 62])) {
      try Tensor(sharing: bytes.bytes, shape: [1 << 62], dtype: .float32, owner: bytes)
    }
    #expect(TensorError.count(3, shape: [2, 2]).description == "3 elements do not fill the shape [2, 2].")
  }

  @Test func `shared memory is not copied, and its owner is released once, with the last tensor`() throws {
    let released = Counter()
    var view: Tensor?
    try {
      let owner = Numbers<Float>([1, 2, 3, 4], released)
      let tensor = try Tensor(sharing: owner.bytes, shape: [2, 2], dtype: .float32, owner: owner)
      #expect(try tensor.withBytes { $0.baseAddress } == owner.bytes.baseAddress)
      view = try tensor.select(0, 1)
      #expect(view?.sharesStorage(with: tensor) == true)
    }()
    #expect(released.count == 0)
    #expect(try view?.floats() == [3, 4])
    view = nil
    #expect(released.count == 1)
  }

  @Test func `memory that cannot be shared is copied, and its owner let go`() throws {
    let released = Counter()
    let (crooked, empty) = try {
      let owner = Numbers<UInt8>([9, 1, 0, 2, 0], released)
      let crooked = UnsafeRawBufferPointer(rebasing: owner.bytes[1...])
      let nothing = UnsafeRawBufferPointer(rebasing: owner.bytes[..<0])
      return (
        try Tensor(sharing: crooked, shape: [2], dtype: .int16, owner: owner),
        try Tensor(sharing: nothing, shape: [0, 3], dtype: .float32, owner: owner)
      )
    }()
    #expect(released.count == 1)
    #expect(try crooked.integers() == [1, 2])
    #expect(empty.shape == [0, 3])
  }

  @Test func `values are read in their own dtype only`() throws {
    let tensor = try Tensor([1.5, -2] as [Double])
    #expect(throws: TensorError.dtype(.float64, wanted: .float32)) { try tensor.array(of: Float.self) }
    #expect(
      TensorError.dtype(.float64, wanted: .float32).description
        == "A float64 tensor is not float32. Convert it with to(.float32).")
    #expect(try tensor.floats() == [1.5, -2])
    #expect(try tensor.to(.int64).integers() == [1, -2])
    let error = try thrown { _ = try tensor.item() }
    #expect(error.operation == "item")
    #expect(error.operands == ["[2] float64"])
  }

  @Test func `elements change in place where they lie in one block`() throws {
    let tensor = try Tensor.zeros([2, 2])
    try tensor.withMutableElements(of: Float.self) { $0[3] = 7 }
    #expect(try tensor.floats() == [0, 0, 0, 7])
    #expect(throws: TensorError.layout("[2, 2] float32")) {
      try tensor.transposed().withMutableElements(of: Float.self) { _ in }
    }
    #expect(throws: TensorError.dtype(.float32, wanted: .float64)) {
      try tensor.withMutableElements(of: Double.self) { _ in }
    }
    #expect(try Tensor.zeros([0, 3]).withMutableElements(of: Float.self) { $0.count } == 0)
  }

  @Test func `a refused operation names itself, its operands and what is wrong`() throws {
    let (left, right) = (try Tensor.zeros([2, 3]), try Tensor.zeros([4, 5], dtype: .float32))
    let error = try thrown { _ = try left.matmul(right) }
    #expect(error.kind == .refused)
    #expect(error.operation == "matmul")
    #expect(error.operands == ["[2, 3] float32", "[4, 5] float32"])
    #expect(
      error.description
        == "matmul of [2, 3] float32 and [4, 5] float32: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)")
  }

  @Test func `copies are equal and apart`() throws {
    let tensor = try Tensor([1, 2] as [Float])
    let copy = try tensor.clone()
    #expect(try copy.isEqual(to: tensor))
    try copy.fillInPlace(3)
    #expect(try tensor.floats() == [1, 2])
    #expect(try tensor.to(.float32).sharesStorage(with: tensor))
  }

  @Test func `closeness counts every element, shape and not-a-number`() throws {
    let tensor = try Tensor([1, 2] as [Float])
    let near = try Tensor([1, 2.001] as [Float])
    #expect(try tensor.isClose(to: near, tolerance: 0.002))
    #expect(try tensor.isClose(to: near, tolerance: 0.0005) == false)
    #expect(try tensor.isClose(to: near, tolerance: 0, relative: 0.001))
    #expect(try tensor.isClose(to: tensor.reshaped(2, 1)) == false)
    #expect(try tensor.isEqual(to: tensor.to(.float64)) == false)
    let broken = try Tensor([1, .nan] as [Float])
    #expect(try broken.isClose(to: broken) == false)
    #expect(try abs(tensor.distance(to: near) - 0.001) < 1e-6)
    #expect(try Tensor.zeros([0]).distance(to: Tensor.zeros([0])) == 0)
  }

  @Test func `a strided view becomes one block`() throws {
    let view = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]).transposed()
    #expect(view.isContiguous == false)
    let dense = try view.contiguous()
    #expect(dense.isContiguous)
    #expect(try dense.floats() == [1, 3, 2, 4])
  }

  @Test func `a description shows small tensors whole`() throws {
    #expect(try Tensor([1, 2] as [Float]).description == "Tensor([2] float32: [1.0, 2.0])")
    #expect(try Tensor.zeros([17]).description == "Tensor([17] float32)")
  }

  @Test func `tensors are read from many tasks at once`() async throws {
    let tensor = try Tensor.arange(0..<1_000, dtype: .float64)
    let sums = try await withThrowingTaskGroup(of: Double.self) { group in
      for _ in 0..<64 { group.addTask { try (tensor + tensor.select(0, 1)).sum().item() } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(sums == [Double](repeating: 500_500, count: 64))
  }
}

/// Memory with an owner, as a mapped file is.
private final class Numbers<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  private let witness: Witness

  init(_ numbers: [Element], _ released: Counter) {
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: numbers.count * MemoryLayout<Element>.stride, alignment: 64)
    numbers.withUnsafeBytes { memory.copyMemory(from: $0) }
    bytes = UnsafeRawBufferPointer(memory)
    witness = Witness(released)
  }

  deinit { bytes.deallocate() }
}
