import Foundation

/// Spherical interpolation of any number of members in one step: in the tangent space at the direction of their mean.
/// MergeKit's Multi-SLERP.
///
/// With unit vectors `uᵢ`, `m = Σ ŵᵢuᵢ / ‖·‖` and `v = Σ ŵᵢ (uᵢ − ⟨uᵢ, m⟩ m)` the result is
/// `Σ ŵᵢ‖τᵢ‖ · (m cos‖v‖ + v sin‖v‖ / ‖v‖)`.
public struct MultiSLERP: MixingRule {
  public static let name = "multislerp"
  public static let summary = "spherical interpolation of any number of members, in one step"
  public static let paper: String? = nil

  public var normalizeWeights = true
  /// Below it a length counts as zero.
  public var epsilon = 1e-8

  enum CodingKeys: String, CodingKey {
    case normalizeWeights = "normalize_weights"
    case epsilon = "eps"
  }

  public init() {}

  public func coefficients(_ weights: [Double]) throws(MixtureError) -> [Double] {
    normalizeWeights ? try normalized(weights) : weights
  }

  public func mix(_ entry: MixingEntry) throws {
    let shares = try coefficients(entry.weights)
    guard shares.count > 1 else { return entry.sum([1]) }
    let members = entry.members.indices.map(entry.member)
    let norms = members.map { dot($0, $0).squareRoot() }
    // The mean direction is Σ scaledᵢ τᵢ, and everything else follows from the members' inner products.
    let scaled = zip(shares, norms).map { $0 / ($1 + epsilon) }
    let products = members.map { one in members.map { dot(one, $0) } }
    func inner(_ left: [Double], _ right: [Double]) -> Double {
      var sum = 0.0
      for (row, first) in left.enumerated() {
        for (column, second) in right.enumerated() { sum += first * second * products[row][column] }
      }
      return sum
    }
    let length = max(0, inner(scaled, scaled)).squareRoot()
    guard length >= epsilon else {
      guard shares.count == 2 else { throw MixtureError.balanced(entry.name) }
      return entry.sum(shares)
    }
    let mean = scaled.map { $0 / length }
    // v = Σ scaledᵢ τᵢ − (Σ scaledᵢ ⟨τᵢ, m⟩) m, in the coordinates of the members.
    let along = inner(scaled, mean)
    let tangent = zip(scaled, mean).map { $0 - along * $1 }
    let angle = max(0, inner(tangent, tangent)).squareRoot() + epsilon
    let radius = zip(shares, norms).reduce(0) { $0 + $1.0 * $1.1 }
    entry.sum(zip(mean, tangent).map { radius * (cos(angle) * $0 + sin(angle) / angle * $1) })
  }
}
