import Foundation
import Tensors
import Testing

@Suite struct TensorArithmeticTests {
  let a: Tensor
  let b: Tensor

  init() throws {
    a = try Tensor([1, -2, 4] as [Double])
    b = try Tensor([2, 8, -0.5] as [Double])
  }

  @Test func `operators work element by element`() throws {
    #expect(try (a + b).doubles() == [3, 6, 3.5])
    #expect(try (a - b).doubles() == [-1, -10, 4.5])
    #expect(try (a * b).doubles() == [2, -16, -2])
    #expect(try (a / b).doubles() == [0.5, -0.25, -8])
    #expect(try (-a).doubles() == [-1, 2, -4])
  }

  @Test func `numbers stand on either side`() throws {
    #expect(try (a + 1).doubles() == [2, -1, 5])
    #expect(try (1 + a).doubles() == [2, -1, 5])
    #expect(try (a - 1).doubles() == [0, -3, 3])
    #expect(try (1 - a).doubles() == [0, 3, -3])
    #expect(try (a * 2).doubles() == [2, -4, 8])
    #expect(try (2 * a).doubles() == [2, -4, 8])
    #expect(try (a / 4).doubles() == [0.25, -0.5, 1])
    #expect(try a.power(2).doubles() == [1, 4, 16])
  }

  @Test func `a row meets every row, a column every column`() throws {
    let column = try Tensor([10, 20] as [Double], shape: [2, 1])
    let sum = try a + column
    #expect(sum.shape == [2, 3])
    #expect(try sum.doubles() == [11, 8, 14, 21, 18, 24])
    let error = try thrown { _ = try a + Tensor.zeros([2]) }
    #expect(error.operation == "add")
    #expect(error.operands == ["[3] float64", "[2] float32"])
  }

  @Test func `whole numbers leave integers integers, fractions do not`() throws {
    let whole = try Tensor([1, 2] as [Int64])
    #expect(try (whole + 1).array(of: Int64.self) == [2, 3])
    #expect(try (whole * -3).array(of: Int64.self) == [-3, -6])
    #expect(try (whole + 0.5).array(of: Float.self) == [1.5, 2.5])
    #expect(try whole.equals(2).array(of: Bool.self) == [false, true])
    #expect(try whole.isLess(than: .infinity).array(of: Bool.self) == [true, true])
    #expect(try whole.isGreater(than: 1e30).array(of: Bool.self) == [false, false])
  }

  @Test func `extremes, comparisons and logic`() throws {
    #expect(try a.minimum(b).doubles() == [1, -2, -0.5])
    #expect(try a.maximum(b).doubles() == [2, 8, 4])
    #expect(try a.isLess(than: b).array(of: Bool.self) == [true, true, false])
    #expect(try a.isGreater(than: b).array(of: Bool.self) == [false, false, true])
    #expect(try a.isLess(than: 1).array(of: Bool.self) == [false, true, false])
    #expect(try a.isGreater(than: 1).array(of: Bool.self) == [false, false, true])
    #expect(try a.isAtLeast(1).array(of: Bool.self) == [true, false, true])
    #expect(try a.equals(4).array(of: Bool.self) == [false, false, true])
    #expect(try a.equals(a).array(of: Bool.self) == [true, true, true])
    let (left, right) = (try Tensor([true, true, false]), try Tensor([true, false, false]))
    #expect(try left.and(right).array(of: Bool.self) == [true, false, false])
    #expect(try left.or(right).array(of: Bool.self) == [true, true, false])
    #expect(try left.not().array(of: Bool.self) == [false, false, true])
    #expect(
      try Tensor([1, .nan, .infinity] as [Double]).isFinite().array(of: Bool.self) == [true, false, false])
  }

  @Test func `functions are those of the C library`() throws {
    let points = [0.25, 1, 2.5]
    let x = try Tensor(points)
    try expectClose(x.exp(), points.map(exp), tolerance: 1e-12)
    try expectClose(x.log(), points.map(log), tolerance: 1e-12)
    try expectClose(x.sqrt(), points.map(sqrt), tolerance: 1e-12)
    try expectClose(x.reciprocalSqrt(), points.map { 1 / sqrt($0) }, tolerance: 1e-12)
    try expectClose(x.reciprocal(), [4, 1, 0.4], tolerance: 1e-12)
    try expectClose(x.squared(), [0.0625, 1, 6.25], tolerance: 1e-12)
    try expectClose(x.sin(), points.map(sin), tolerance: 1e-12)
    try expectClose(x.cos(), points.map(cos), tolerance: 1e-12)
    try expectClose(x.erf(), points.map(erf), tolerance: 1e-12)
    try expectClose(x.tanh(), points.map(tanh), tolerance: 1e-12)
    #expect(try a.abs().doubles() == [1, 2, 4])
    #expect(try a.sign().doubles() == [1, -1, 1])
    #expect(try Tensor([0.5, 1.5, -1.4] as [Double]).rounded().doubles() == [0, 2, -1])
  }

  @Test func `activations follow their formulas`() throws {
    let points: [Double] = [-3, -0.5, 0, 0.5, 3]
    let x = try Tensor(points)
    let sigmoid = { (x: Double) in 1 / (1 + exp(-x)) }
    try expectClose(x.sigmoid(), points.map(sigmoid), tolerance: 1e-12)
    try expectClose(x.relu(), [0, 0, 0, 0.5, 3])
    try expectClose(x.silu(), points.map { $0 * sigmoid($0) }, tolerance: 1e-12)
    try expectClose(x.softplus(), points.map { log(1 + exp($0)) }, tolerance: 1e-12)
    try expectClose(x.gelu(), points.map { $0 * (1 + erf($0 / sqrt(2))) / 2 }, tolerance: 1e-12)
    try expectClose(
      x.geluTanh(), points.map { $0 * (1 + tanh(sqrt(2 / .pi) * ($0 + 0.044715 * $0 * $0 * $0))) / 2 },
      tolerance: 1e-12)
    try expectClose(x.quickGELU(), points.map { $0 * sigmoid(1.702 * $0) }, tolerance: 1e-12)
  }

  @Test func `clamping, choosing and filling`() throws {
    #expect(try a.clamped(-1...2).doubles() == [1, -1, 2])
    #expect(try a.clamped(-1 ... .infinity).doubles() == [1, -1, 4])
    #expect(try a.clamped(-.infinity...2).doubles() == [1, -2, 2])
    let mask = try Tensor([true, false, true])
    #expect(try a.selected(where: mask, else: b).doubles() == [1, 8, 4])
    #expect(try a.filled(-7, where: mask).doubles() == [-7, -2, -7])
    #expect(try a.doubles() == [1, -2, 4])
  }

  @Test func `in place changes the tensor and its views`() throws {
    let tensor = try Tensor([1, 2, 3, 4] as [Double], shape: [2, 2])
    let row = try tensor.select(0, 1)
    try row.addInPlace(Tensor([10, 20] as [Double]), scale: 0.5)
    #expect(try tensor.doubles() == [1, 2, 8, 14])
    try tensor.multiplyInPlace(Tensor([2, -1] as [Double]))
    #expect(try tensor.doubles() == [2, -2, 16, -14])
    try tensor.scaleInPlace(0.5)
    #expect(try tensor.doubles() == [1, -1, 8, -7])
    try tensor.interpolateInPlace(to: Tensor([5, 5] as [Double]), weight: 0.25)
    #expect(try tensor.doubles() == [2, 0.5, 7.25, -4])
    try tensor.copyInPlace(Tensor([1, 2] as [Float]))
    #expect(try tensor.doubles() == [1, 2, 1, 2])
    try tensor.addProductInPlace(tensor.clone(), Tensor.identity(2, dtype: .float64), alpha: 2, beta: 3)
    #expect(try tensor.doubles() == [5, 10, 5, 10])
    try tensor.fillInPlace(-1)
    #expect(try row.doubles() == [-1, -1])
  }

  @Test func `integers accumulate in place`() throws {
    let counts = try Tensor([1, 2] as [Int64])
    try counts.addInPlace(Tensor([10, 20] as [Int64]))
    try counts.addInPlace(Tensor([1, 1] as [Int64]), scale: -2)
    try counts.scaleInPlace(3)
    #expect(try counts.array(of: Int64.self) == [27, 60])
    let error = try thrown { try counts.scaleInPlace(0.5) }
    #expect(error.operation == "scaleInPlace")
  }

  @Test func `rows are added and written where the index says`() throws {
    let table = try Tensor.zeros([3, 2])
    let rows = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    try table.addInPlace(rows, at: Tensor([2, 2] as [Int64]))
    #expect(try table.floats() == [0, 0, 0, 0, 4, 6])
    try table.copyInPlace(rows, at: Tensor([1, 0] as [Int64]))
    #expect(try table.floats() == [3, 4, 1, 2, 4, 6])
    try table.addInPlace(Tensor.ones([3, 1]), at: Tensor([1] as [Int64]), dimension: 1)
    #expect(try table.floats() == [3, 5, 1, 3, 4, 7])
    for index: [Int64] in [[0, 3], [-1, 0]] {
      #expect(throws: TorchError.self) { try table.addInPlace(rows, at: Tensor(index)) }
      #expect(throws: TorchError.self) { try table.copyInPlace(rows, at: Tensor(index)) }
    }
  }

  @Test func `a shape that does not fit in place is refused`() throws {
    let error = try thrown { try a.addInPlace(Tensor.zeros([2, 3])) }
    #expect(error.operation == "addInPlace")
    #expect(error.operands == ["[3] float64", "[2, 3] float32"])
    #expect(try a.doubles() == [1, -2, 4])
  }

  @Test func `a tensor is finite where every element is`() throws {
    #expect(try Tensor([1.0, -2]).isAllFinite())
    #expect(try !Tensor([1, Double.nan]).isAllFinite())
    #expect(try !Tensor([-Double.infinity, 0]).isAllFinite())
    #expect(try Tensor.zeros([0]).isAllFinite())
    // The sum is infinite, none of the numbers is.
    #expect(try Tensor([Float.greatestFiniteMagnitude, .greatestFiniteMagnitude]).isAllFinite())
    #expect(try !Tensor([Float.infinity, -.infinity]).isAllFinite())
  }
}
