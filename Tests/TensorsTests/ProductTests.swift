import Tensors
import Testing

/// Products large enough to leave ATen's path for oneDNN's, against float64.
@Suite struct ProductTests {
  private let x: Tensor
  private let weight: Tensor
  private let bias: Tensor

  init() throws {
    let generator = try Generator(seed: 5)
    x = try .normal([3, 40, 48], from: generator)
    weight = try .normal([56, 48], from: generator)
    bias = try .normal([56], from: generator)
  }

  private func wide(_ tensor: Tensor) throws -> Tensor { try tensor.detached().to(.float64) }

  @Test func `a linear map agrees with the same in float64`() throws {
    let expected = try wide(x).linear(wide(weight), wide(bias))
    #expect(try wide(x.linear(weight, bias)).isClose(to: expected, tolerance: 2e-5))
    #expect(try wide(x.linear(weight)).isClose(to: wide(x).linear(wide(weight)), tolerance: 2e-5))
  }

  @Test func `a transposed weight and a strided input give what their dense copies give`() throws {
    let turned = try weight.transposed().contiguous().transposed()
    #expect(!turned.isContiguous)
    #expect(try x.linear(turned).isClose(to: x.linear(weight), tolerance: 2e-5))
    let strided = try x.transposed(0, 1)
    #expect(try strided.linear(weight).isClose(to: strided.contiguous().linear(weight), tolerance: 2e-5))
    let slice = try weight.narrowed(1, 8..<40)
    #expect(
      try x.narrowed(2, 8..<40).linear(slice).isClose(
        to: x.narrowed(2, 8..<40).contiguous().linear(slice.contiguous()), tolerance: 2e-5))
  }

  @Test func `gradients of input, weight and bias agree with float64`() throws {
    func gradients(_ x: Tensor, _ weight: Tensor, _ bias: Tensor) throws -> [Tensor] {
      let leaves = try [x, weight, bias].map { try $0.detached().clone().requiringGradient() }
      let output = try leaves[0].linear(leaves[1], leaves[2])
      return try (output * output).sum().gradients(leaves).map { try #require($0) }
    }
    let found = try gradients(x, weight, bias)
    let expected = try gradients(wide(x), wide(weight), wide(bias))
    for (found, expected) in zip(found, expected) {
      #expect(found.shape == expected.shape)
      #expect(try wide(found).isClose(to: expected, tolerance: 1e-3, relative: 1e-5))
    }
  }

  @Test func `an expanded gradient, as a sum gives, goes through`() throws {
    let input = try x.clone().requiringGradient()
    try input.linear(weight).sum().backward()
    let expected = try wide(weight).sum(0).expanded(3, 40, 48)
    let gradient = try #require(try input.gradient())
    #expect(try wide(gradient).isClose(to: expected, tolerance: 1e-4))
  }

  @Test func `a frozen weight gets no gradient and the input does`() throws {
    let input = try x.clone().requiringGradient()
    let output = try input.linear(weight, bias)
    #expect(output.requiresGradient)
    try output.sum().backward()
    #expect(try weight.gradient() == nil)
    #expect(try input.gradient() != nil)
  }

  @Test func `gradients of gradients agree with float64`() throws {
    func second(_ x: Tensor, _ weight: Tensor) throws -> Tensor {
      let (x, weight) = (
        try x.detached().clone().requiringGradient(), try weight.detached().clone().requiringGradient()
      )
      let output = try x.linear(weight)
      let cubes = try (output * output * output).sum().gradients([x], create: true)
      let first = try #require(cubes[0])
      let second = try first.sum().gradients([weight])
      return try #require(second[0])
    }
    let expected = try second(wide(x), wide(weight))
    #expect(try wide(second(x, weight)).isClose(to: expected, tolerance: 1, relative: 1e-3))
  }

  @Test func `nothing is recorded without gradients, and shapes that do not fit are refused`() throws {
    let input = try x.clone().requiringGradient()
    #expect(try withoutGradients { try !input.linear(weight).requiresGradient })
    #expect(throws: TorchError.self) { try x.linear(weight.transposed()) }
  }

  @Test func `a matrix product agrees with the same in float64`() throws {
    let other = try weight.transposed()
    #expect(try wide(x.matmul(other)).isClose(to: wide(x).matmul(wide(other)), tolerance: 2e-5))
  }
}
