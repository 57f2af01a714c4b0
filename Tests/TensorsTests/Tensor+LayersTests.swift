import Foundation
import Tensors
import Testing

@Suite struct TensorLayersTests {
  let generator: Generator

  init() throws { generator = try Generator(seed: 5) }

  @Test func `softmax divides exponentials by their sum, along its dimension`() throws {
    let x = try Tensor([0, log(3), 1_000, 1_000] as [Double], shape: [2, 2])
    try expectClose(x.softmax(), [0.25, 0.75, 0.5, 0.5], tolerance: 1e-12)
    try expectClose(x.logSoftmax(), [log(0.25), log(0.75), -log(2), -log(2)], tolerance: 1e-12)
    try expectClose(x.transposed().contiguous().softmax(0), [0.25, 0.5, 0.75, 0.5], tolerance: 1e-12)
  }

  @Test func `a layer norm has mean 0 and variance 1 before its scale and shift`() throws {
    let x = try Tensor([1, 2, 6, -4, 0, 4] as [Double], shape: [2, 3])
    // Means 3 and 0, variances 14/3 and 32/3.
    let (first, second) = (sqrt(14.0 / 3 + 0.5), sqrt(32.0 / 3 + 0.5))
    let plain = [-2 / first, -1 / first, 3 / first, -4 / second, 0, 4 / second]
    try expectClose(x.layerNorm(width: 3, weight: nil, bias: nil, epsilon: 0.5), plain, tolerance: 1e-12)
    let (weight, bias) = (try Tensor([2, 3, 4] as [Double]), try Tensor([10, 20, 30] as [Double]))
    try expectClose(
      x.layerNorm(width: 3, weight: weight, bias: bias, epsilon: 0.5),
      zip(plain, [2, 3, 4, 2, 3, 4]).map(*).enumerated().map { $1 + Double($0 % 3 + 1) * 10 }, tolerance: 1e-12)
    let error = try thrown { _ = try x.layerNorm(width: 3, weight: weight.narrowed(0, 0..<2), bias: nil, epsilon: 0) }
    #expect(error.operands == ["[2, 3] float64", "[2] float64"])
  }

  @Test func `attention is softmax of scaled products, with and without a mask`() throws {
    let shape = [2, 3, 5, 4]
    let (q, k, v) = (
      try Tensor.normal(shape, dtype: .float64, from: generator),
      try Tensor.normal(shape, dtype: .float64, from: generator),
      try Tensor.normal(shape, dtype: .float64, from: generator)
    )
    let scores = try q.matmul(k.transposed()) / 2  // √4
    try expectClose(
      Tensor.attention(query: q, key: k, value: v), scores.softmax().matmul(v).doubles(), tolerance: 1e-12)
    let mask = try Tensor.normal([5, 5], dtype: .float64, from: generator)
    try expectClose(
      Tensor.attention(query: q, key: k, value: v, mask: mask), (scores + mask).softmax().matmul(v).doubles(),
      tolerance: 1e-12)
    let error = try thrown {
      _ = try Tensor.attention(query: q, key: k.narrowed(3, 0..<3), value: v, mask: mask)
    }
    #expect(error.operation == "attention")
    #expect(error.operands == [q.summary, "[2, 3, 5, 3] float64", v.summary, "[5, 5] float64"])
  }

  @Test func `a convolution of patches is a linear map of each patch`() throws {
    let image = try Tensor.arange(0..<16, dtype: .float64).reshaped(1, 1, 4, 4)
    let weight = try Tensor([1, 0, 0, -2, 0, 1, 0, 0] as [Double], shape: [2, 1, 2, 2])
    let bias = try Tensor([0.5, 0] as [Double])
    // Patches [0 1 4 5], [2 3 6 7], [8 9 12 13], [10 11 14 15].
    let patches = try image.convolution(weight, bias: bias, stride: 2)
    #expect(patches.shape == [1, 2, 2, 2])
    #expect(try patches.doubles() == [-9.5, -11.5, -17.5, -19.5, 1, 3, 9, 11])
    #expect(try image.convolution(weight, bias: nil, stride: 1).shape == [1, 2, 3, 3])
    #expect(throws: TorchError.self) { try image.convolution(weight, bias: nil, stride: 0) }
  }

  @Test func `cross-entropy is the mean surprise at the labels, smoothed over the classes`() throws {
    let probabilities: [Double] = [0.2, 0.3, 0.5, 0.7, 0.2, 0.1]
    let logits = try Tensor(probabilities, shape: [2, 3]).log() + 4
    let labels = try Tensor([2, 0] as [Int64])
    try expectClose(logits.crossEntropy(labels), [-(log(0.5) + log(0.7)) / 2], tolerance: 1e-12)
    let uniform = -probabilities.map(log).reduce(0, +) / 6
    try expectClose(
      logits.crossEntropy(labels, smoothing: 0.1), [0.9 * -(log(0.5) + log(0.7)) / 2 + 0.1 * uniform],
      tolerance: 1e-12)
    #expect(throws: TorchError.self) { try logits.crossEntropy(Tensor([2, 3] as [Int64])) }
    #expect(throws: TorchError.self) { try logits.crossEntropy(Tensor([2] as [Int64])) }
  }

  @Test func `bilinear resizing interpolates between the centres of pixels`() throws {
    let row = try Tensor([0, 1] as [Double]).reshaped(1, 1, 1, 2)
    try expectClose(row.resized(height: 1, width: 4, .bilinear), [0, 0.25, 0.75, 1], tolerance: 1e-12)
    let wide = try Tensor([1, 2, 4, 8] as [Double]).reshaped(1, 1, 1, 4)
    try expectClose(wide.resized(height: 1, width: 2, .bilinear), [1.5, 6], tolerance: 1e-12)
    // A triangle two pixels wide on either side of the centre, cut at the border.
    try expectClose(
      wide.resized(height: 1, width: 2, .bilinear, antialias: true),
      [(0.75 * 1 + 0.75 * 2 + 0.25 * 4) / 1.75, (0.25 * 2 + 0.75 * 4 + 0.75 * 8) / 1.75], tolerance: 1e-12)
  }

  @Test(arguments: [3, 5, 9])
  func `bicubic resizing weighs four pixels by Keys' kernel with a = -0.75`(width: Int) throws {
    let pixels: [Double] = [3, -1, 4, 1, 5]
    func kernel(_ x: Double) -> Double {
      let (a, x) = (-0.75, abs(x))
      return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
    }
    let expected = (0..<width).map { index in
      let centre = (Double(index) + 0.5) * 5 / Double(width) - 0.5
      let first = Int(floor(centre)) - 1
      return (first..<first + 4).map { kernel(centre - Double($0)) * pixels[min(max($0, 0), 4)] }.reduce(0, +)
    }
    let row = try Tensor(pixels).reshaped(1, 1, 1, 5)
    try expectClose(row.resized(height: 1, width: width, .bicubic), expected, tolerance: 1e-12)
  }

  @Test func `resizing to nothing is refused`() throws {
    let error = try thrown { _ = try Tensor.zeros([1, 1, 2, 2]).resized(height: 0, width: 2, .bicubic) }
    #expect(error.operation == "resized" && error.operands == ["[1, 1, 2, 2] float32"])
  }

  @Test func `an embedding is a choice of rows`() throws {
    let table = try Tensor.arange(0..<6, dtype: .float32).reshaped(3, 2)
    let rows = try table.embedding(Tensor([2, 0, 2, 1] as [Int64], shape: [2, 2]))
    #expect(rows.shape == [2, 2, 2])
    #expect(try rows.floats() == [4, 5, 0, 1, 4, 5, 2, 3])
  }

  @Test func `the backward passes for custom functions agree with differences`() throws {
    let x = try Tensor([0.3, -1.2, 2, 0.1] as [Double], shape: [2, 2])
    let gradient = try Tensor([1, -2, 0.5, 3] as [Double], shape: [2, 2])
    try expectClose(
      x.softmax(0).softmaxBackward(gradient, dimension: 0),
      numericGradient(at: x) { try ($0.softmax(0) * gradient).sum() }, tolerance: 1e-8)
    try expectClose(
      x.geluBackward(gradient), numericGradient(at: x) { try ($0.gelu() * gradient).sum() }, tolerance: 1e-8)
    #expect(throws: TorchError.self) { try x.softmaxBackward(gradient.reshaped(4), dimension: 0) }
  }
}
