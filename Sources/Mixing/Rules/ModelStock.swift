/// Model Stock: the mean of the members drawn toward the start, the more the less they point the same way.
///
/// Jang et al. 2024, "Model Stock", arXiv:2403.19522: `θ̄ = θ⁰ + t · mean τᵢ` with `t = k·c / (1 + (k − 1)·c)`, where `c`
/// is the mean cosine of the pairs, tensor by tensor. The members' weights play no part, and one member stays as it is.
public struct ModelStock: MixingRule {
  public static let name = "model_stock"
  public static let summary = "the mean, shrunk by how little the members agree"
  public static let paper: String? = "arXiv:2403.19522"
  public static let usesWeights = false

  /// Whether each row of a matrix has its own `t`.
  public var filterWise = false

  enum CodingKeys: String, CodingKey { case filterWise = "filter_wise" }

  public init() {}
  public init(filterWise: Bool) { self.filterWise = filterWise }

  public func coefficients(_ weights: [Double]) -> [Double] { weights.map { _ in 1 / Double(weights.count) } }
  public func validate(weights: [Double]) {}

  public func mix(_ entry: MixingEntry) {
    let shares = coefficients(entry.weights)
    let rows = filterWise ? entry.rows : 1
    let width = entry.count / max(1, rows)
    for row in 0..<rows {
      let range = row * width..<(row + 1) * width
      let ratio = Self.ratio(cosine: meanCosine(entry, range), count: entry.members.count)
      entry.sum(shares.map { $0 * ratio }, of: range)
    }
  }

  /// `t`; 0 where there is no finite one.
  static func ratio(cosine: Double, count: Int) -> Double {
    let count = Double(count)
    let divisor = 1 + (count - 1) * cosine
    if count == 1 { return 1 }
    return abs(divisor) < 1e-6 ? 0 : count * cosine / divisor
  }

  private func meanCosine(_ entry: MixingEntry, _ range: Range<Int>) -> Double {
    let members = entry.members.indices.map { UnsafeMutableBufferPointer(rebasing: entry.member($0)[range]) }
    let norms = members.map { dot($0, $0).squareRoot() }
    var (sum, pairs) = (0.0, 0)
    for first in members.indices {
      for second in first + 1..<members.count {
        let norms = norms[first] * norms[second]
        let cosine = norms > 0 ? dot(members[first], members[second]) / norms : 0
        sum += min(1, max(-1, cosine))
        pairs += 1
      }
    }
    return pairs == 0 ? 1 : sum / Double(pairs)
  }
}
