import Foundation

/// Spherical interpolation of two members: `sin((1 − t)Ω)/sin Ω · a + sin(tΩ)/sin Ω · b`, `Ω` the angle between them.
///
/// Shoemake 1985, "Animating rotation with quaternion curves". The angle is that of a whole tensor; where its cosine is beyond
/// ±0.9995 the interpolation is linear, as in MergeKit.
public struct SLERP: MixingRule {
  public static let name = "slerp"
  public static let summary = "spherical interpolation of two members"
  public static let paper: String? = nil
  public static let optionalSettings: Set<String> = ["t"]

  /// Where between the first member, 0, and the second, 1. nil for the second's share of the weights.
  public var t: Double?

  public init() {}
  public init(t: Double) { self.t = t }

  public func validate(weights: [Double]) throws(MixtureError) {
    guard weights.count <= 2 else { throw .memberCount(Self.name, weights.count, wanted: "two members") }
    if let t { try check(t.isFinite, "t", t, "a finite number") }
    _ = try coefficients(weights)
  }

  public func coefficients(_ weights: [Double]) throws(MixtureError) -> [Double] {
    guard weights.count == 2 else { return weights.map { _ in 1 } }
    if let t { return [1 - t, t] }
    return try normalized(weights)
  }

  public func mix(_ entry: MixingEntry) throws {
    var coefficients = try coefficients(entry.weights)
    if coefficients.count == 2 {
      let (first, second) = (entry.member(0), entry.member(1))
      let norms = [dot(first, first).squareRoot(), dot(second, second).squareRoot()].map { $0 > 1e-8 ? $0 : 1 }
      let cosine = min(1, max(-1, dot(first, second) / norms[0] / norms[1]))
      if abs(cosine) <= 0.9995 {
        let angle = acos(cosine)
        coefficients = coefficients.map { sin($0 * angle) / sin(angle) }
      }
    }
    entry.sum(coefficients)
  }
}
