import Foundation

/// The Karcher mean: the point of the sphere with the least sum of squared angles to the members' directions, at the
/// weighted mean of their lengths.
///
/// Karcher 1977, "Riemannian center of mass and mollifier smoothing"; by fixed-point iteration, as in MergeKit. Members of
/// length zero have no direction and only shorten the result.
public struct Karcher: MixingRule {
  public static let name = "karcher"
  public static let summary = "the mean on the sphere, by iteration"
  public static let paper: String? = "arXiv:2603.04972"

  public var iterations = 10
  /// An angle below it ends the iteration.
  public var tolerance = 1e-5

  enum CodingKeys: String, CodingKey {
    case iterations = "max_iter"
    case tolerance = "tol"
  }

  public init() {}

  public func validate(weights: [Double]) throws(MixtureError) {
    try check((1...10_000).contains(iterations), "max_iter", Double(iterations), "1 to 10000")
    try check(tolerance > 0 && tolerance.isFinite, "tol", tolerance, "above 0")
    _ = try coefficients(weights)
  }

  public func mix(_ entry: MixingEntry) throws {
    let shares = try coefficients(entry.weights)
    guard shares.count > 1 else { return entry.sum([1]) }
    let members = entry.members.indices.map(entry.member)
    let norms = members.map { dot($0, $0).squareRoot() }
    let directed = norms.indices.filter { norms[$0] > tolerance }
    guard !directed.isEmpty else { return entry.sum(shares.map { _ in 0 }) }
    // Every point on the way is a sum of the members' directions: the iteration needs their cosines only.
    let cosines = directed.map { one in directed.map { dot(members[one], members[$0]) / norms[one] / norms[$0] } }
    let total = directed.reduce(0) { $0 + shares[$1] }
    guard abs(total) >= 1e-8 else { throw MixtureError.noWeight(total) }
    let mean = direction(directed.map { shares[$0] / total }, cosines)
    let radius = zip(shares, norms).reduce(0) { $0 + $1.0 * $1.1 }
    var coefficients = [Double](repeating: 0, count: shares.count)
    for (place, member) in directed.enumerated() { coefficients[member] = radius * mean[place] / norms[member] }
    entry.sum(coefficients)
  }

  /// The mean direction, in the coordinates of the members' directions.
  private func direction(_ shares: [Double], _ cosines: [[Double]]) -> [Double] {
    func product(_ vector: [Double], _ row: Int) -> Double { zip(cosines[row], vector).reduce(0) { $0 + $1.0 * $1.1 } }
    func length(_ vector: [Double]) -> Double {
      max(0, vector.indices.reduce(0) { $0 + vector[$1] * product(vector, $1) }).squareRoot()
    }
    var mean = shares
    let first = length(mean)
    mean = first < tolerance ? shares.indices.map { $0 == 0 ? 1 : 0 } : mean.map { $0 / first }
    for _ in 0..<iterations {
      var tangent = shares.map { _ in 0.0 }
      for (place, share) in shares.enumerated() {
        let cosine = min(1, max(-1, product(mean, place)))
        let angle = acos(cosine)
        guard angle >= tolerance, sin(angle) > 0 else { continue }
        let pull = share * angle / sin(angle)
        tangent[place] += pull
        for index in mean.indices { tangent[index] -= pull * cosine * mean[index] }
      }
      let angle = length(tangent)
      guard angle >= tolerance else { break }
      mean = zip(mean, tangent).map { cos(angle) * $0 + sin(angle) / angle * $1 }
      let size = length(mean)
      if size > tolerance { mean = mean.map { $0 / size } }
    }
    return mean
  }
}
