import Dispatch
import Tensors
import Testing

@Suite struct GeneratorTests {
  @Test func `a seed gives PyTorch's numbers`() throws {
    // torch.manual_seed(0): torch.rand(3), torch.randn(3)
    try expectClose(
      Tensor.uniform([3], from: Generator(seed: 0)), [0.49625659, 0.76822180, 0.08847743], tolerance: 1e-7)
    try expectClose(
      Tensor.normal([3], from: Generator(seed: 0)), [1.54099607, -0.29342890, -2.17878938], tolerance: 1e-6)
  }

  @Test func `the same seed gives the same stream, another seed another`() throws {
    func draws(_ seed: UInt64) throws -> [Float] {
      let generator = try Generator(seed: seed)
      return try [
        Tensor.uniform([4], from: generator), Tensor.normal([20], from: generator),
        Tensor.bernoulli([8], probability: 0.5, from: generator), generator.permutation(9),
      ].flatMap { try $0.floats() }
    }
    #expect(try draws(11) == draws(11))
    #expect(try draws(11) != draws(12))
    #expect(try Generator(seed: .max).seed == .max)
  }

  @Test func `a stream continues from its saved state`() throws {
    let generator = try Generator(seed: 3)
    _ = try Tensor.normal([7], from: generator)
    let state = try generator.state()
    let expected = try Tensor.normal([33], from: generator).floats()
    #expect(try Tensor.normal([33], from: generator).floats() != expected)
    try generator.restore(state)
    #expect(try Tensor.normal([33], from: generator).floats() == expected)
    let other = try Generator(seed: 99)
    try other.restore(state)
    #expect(try Tensor.normal([33], from: other).floats() == expected)
  }

  @Test func `bytes that are no state are refused, and the stream goes on`() throws {
    let (generator, twin) = (try Generator(seed: 3), try Generator(seed: 3))
    let length = try generator.state().count
    for bytes in [[], [1, 2, 3], [UInt8](repeating: 0xff, count: length)] {
      let error = try thrown { try generator.restore(bytes) }
      #expect(error.operation == "generator state")
      #expect(error.operands == ["[\(bytes.count)] uint8"])
    }
    #expect(try Tensor.uniform([4], from: generator).isEqual(to: Tensor.uniform([4], from: twin)))
  }

  @Test func `derived streams differ by purpose and by seed, and leave their origin alone`() throws {
    let (generator, twin) = (try Generator(seed: 1), try Generator(seed: 1))
    let first = try generator.derived("dropout").seed
    #expect(try generator.derived("dropout").seed == first)
    #expect(try generator.derived("noise").seed != first)
    #expect(try generator.derived("").seed != first)
    #expect(try Generator(seed: 2).derived("dropout").seed != first)
    #expect(try generator.derived("dropout").permutation(20).isEqual(to: twin.derived("dropout").permutation(20)))
    #expect(try Tensor.uniform([4], from: generator).isEqual(to: Tensor.uniform([4], from: twin)))
  }

  @Test func `draws have the bounds, mean and deviation asked for`() throws {
    let generator = try Generator(seed: 8)
    let uniform = try Tensor.uniform([20_000], -2, 4, dtype: .float64, from: generator)
    #expect(try uniform.min().item() >= -2)
    #expect(try uniform.max().item() < 4)
    // A mean of n draws strays by σ/√n; five of those never happen. Here σ = 6/√12.
    #expect(try abs(uniform.mean().item() - 1) < 5 * 0.0123)
    let normal = try Tensor.normal([20_000], mean: 3, deviation: 0.5, dtype: .float64, from: generator)
    #expect(try abs(normal.mean().item() - 3) < 5 * 0.0036)
    #expect(try abs(normal.variance().item() - 0.25) < 5 * 0.0025)
    let coins = try Tensor.bernoulli([20_000], probability: 0.3, from: generator)
    #expect(try Set(coins.floats()) == [0, 1])
    #expect(try abs(coins.mean().item() - 0.3) < 5 * 0.0033)
    #expect(throws: TorchError.self) { try Tensor.bernoulli([1], probability: 1.5, from: generator) }
    #expect(throws: TorchError.self) { try Tensor.uniform([1], 1, 0, from: generator) }
  }

  @Test func `a permutation holds every index once`() throws {
    let order = try Generator(seed: 4).permutation(50).integers()
    #expect(order != Array(0..<50))
    #expect(order.sorted() == Array(0..<50))
    #expect(try Generator(seed: 4).permutation(0).integers() == [])
    #expect(throws: TorchError.self) { try Generator(seed: 4).permutation(-1) }
  }

  @Test func `dropout keeps the mean: what stays is scaled`() throws {
    let generator = try Generator(seed: 6)
    let x = try Tensor.full(3, [10_000])
    let dropped = try x.dropout(0.25, from: generator)
    #expect(try Set(dropped.floats()) == [0, 4])
    // σ of one element is 4 · √(0.25 · 0.75).
    #expect(try abs(dropped.mean().item() - 3) < 5 * 0.0173)
    #expect(try x.dropout(0, from: generator).isEqual(to: x))
    #expect(try x.dropout(1, from: generator).abs().sum().item() == 0)
    #expect(try x.floats().allSatisfy { $0 == 3 })
  }

  @Test func `several threads may draw from one generator`() throws {
    let (generator, twin) = (try Generator(seed: 2), try Generator(seed: 2))
    DispatchQueue.concurrentPerform(iterations: 64) { index in
      _ = index.isMultiple(of: 2) ? nil : try? generator.state()
      _ = try? Tensor.uniform([100], dtype: .float64, from: generator)
    }
    _ = try Tensor.uniform([6_400], dtype: .float64, from: twin)
    #expect(try generator.state() == twin.state())
  }
}
