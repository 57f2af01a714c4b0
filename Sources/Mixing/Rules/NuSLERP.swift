import Foundation

/// Spherical interpolation of the differences of two members, of whole tensors or of each row or column by itself:
/// MergeKit's NuSLERP.
///
/// `t` is the second member's share of the weights. Linear only where the two point exactly the same or the opposite way.
public struct NuSLERP: MixingRule {
  public static let name = "nuslerp"
  public static let summary = "spherical interpolation of two members, by tensor, row or column"
  public static let paper: String? = nil

  /// Whether the angle is that of the whole tensor.
  public var flatten = true
  /// Without `flatten`: whether the vectors are what MergeKit calls rows, which run along the first dimension. Else they run
  /// along the last.
  public var rowWise = false

  enum CodingKeys: String, CodingKey {
    case flatten = "nuslerp_flatten"
    case rowWise = "nuslerp_row_wise"
  }

  public init() {}

  public init(flatten: Bool, rowWise: Bool = false) {
    self.flatten = flatten
    self.rowWise = rowWise
  }

  public func validate(weights: [Double]) throws(MixtureError) {
    guard weights.count <= 2 else { throw .memberCount(Self.name, weights.count, wanted: "two members") }
  }

  public func coefficients(_ weights: [Double]) -> [Double] {
    guard weights.count == 2 else { return weights.map { _ in 1 } }
    let sum = weights[0] + weights[1]
    let t = abs(sum) < 1e-6 ? 0.5 : weights[1] / sum
    return [1 - t, t]
  }

  public func mix(_ entry: MixingEntry) {
    let shares = coefficients(entry.weights)
    guard shares.count == 2 else { return entry.sum(shares) }
    let (first, second) = (entry.member(0), entry.member(1))
    let columns = entry.count / max(1, entry.rows)
    // Of each vector: where it begins, how far its numbers lie apart, how many there are.
    let vectors: [(start: Int, stride: Int, count: Int)] =
      flatten
      ? [(0, 1, entry.count)]
      : rowWise
        ? (0..<columns).map { ($0, columns, entry.rows) } : (0..<entry.rows).map { ($0 * columns, 1, columns) }
    for (start, stride, count) in vectors {
      var (ones, others, mixed) = (0.0, 0.0, 0.0)
      for index in Swift.stride(from: start, to: start + stride * count, by: stride) {
        let (one, other) = (Double(first[index]), Double(second[index]))
        ones += one * one
        others += other * other
        mixed += one * other
      }
      let cosine = min(1, max(-1, mixed / max(ones.squareRoot(), 1e-7) / max(others.squareRoot(), 1e-7)))
      var coefficients = shares
      if 1 - cosine * cosine > 1e-16 {
        let angle = acos(cosine)
        coefficients = shares.map { sin($0 * angle) / sin(angle) }
      }
      for index in Swift.stride(from: start, to: start + stride * count, by: stride) {
        entry.result[index] = Float(
          coefficients[0] * Double(first[index]) + coefficients[1] * Double(second[index]))
      }
    }
  }
}
