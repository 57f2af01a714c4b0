import Tensors

/// Vectors of one width in float64, one after the other.
struct Samples: Sendable {
  let count: Int
  let width: Int
  var values: [Double]

  init(count: Int, width: Int, values: [Double]) {
    self.count = count
    self.width = width
    self.values = values
  }

  /// - Parameter tensor: `[samples, width]`
  /// - Throws: `ChoosingError` where there are none, or not all are finite.
  init(_ tensor: Tensor, of domain: String) throws {
    guard tensor.rank == 2, tensor.shape[1] > 0 else { throw ChoosingError.shape(domain, tensor.shape) }
    guard tensor.shape[0] > 0 else { throw ChoosingError.noTexts(domain) }
    let values = try tensor.detached().doubles()
    guard values.allSatisfy(\.isFinite) else { throw ChoosingError.notFinite("An embedding of '\(domain)'") }
    self.init(count: tensor.shape[0], width: tensor.shape[1], values: values)
  }

  /// One after the other.
  ///
  /// - Throws: `ChoosingError.widths`
  init(joining parts: [(name: String, samples: Samples)]) throws(ChoosingError) {
    let width = parts.first?.samples.width ?? 0
    for part in parts where part.samples.width != width {
      throw .widths(part.name, part.samples.width, expected: width)
    }
    self.init(
      count: parts.reduce(0) { $0 + $1.samples.count }, width: width, values: parts.flatMap { $0.samples.values })
  }

  subscript(index: Int) -> ArraySlice<Double> { values[index * width..<(index + 1) * width] }

  func tensor() throws -> Tensor { try Tensor(values, shape: [count, width]) }

  /// The mean of some of them; zeros for none.
  func mean(of indices: some Sequence<Int>) -> [Double] {
    var (sum, number) = ([Double](repeating: 0, count: width), 0.0)
    for index in indices {
      for (place, value) in self[index].enumerated() { sum[place] += value }
      number += 1
    }
    return sum.map { $0 / max(1, number) }
  }

  func squaredDistance(_ index: Int, to point: [Double]) -> Double {
    zip(self[index], point).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
  }
}
