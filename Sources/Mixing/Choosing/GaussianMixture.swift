import Foundation

/// A mixture of Gaussians with full covariances, fitted by expectation maximization in float64.
///
/// Dempster, Laird and Rubin 1977. The start is k-means from given centres. To every covariance `regularization · I` is
/// added, so that fewer samples than dimensions, equal samples and components of one sample remain Gaussians.
struct GaussianMixture: Sendable {
  struct Options {
    /// Added to the diagonal of every covariance.
    var regularization = 1e-6
    var maximumSteps = 100
    /// It ends when a step gains less than this in mean log-likelihood.
    var tolerance = 1e-6
  }

  struct Component: Sendable {
    /// `0 ... 1`; they add up to 1.
    var weight: Double
    var mean: [Double]
    /// Row-major, `[width, width]`
    var covariance: [Double]
  }

  private(set) var components: [Component]
  /// The mean log-likelihood of a sample before each step and after the last.
  private(set) var logLikelihoods: [Double] = []

  init(fitting samples: Samples, from centres: [[Double]], _ options: Options = Options()) {
    let labels = KMeans.labels(of: samples, from: centres)
    let hard = centres.indices.map { component in labels.map { $0 == component ? 1.0 : 0 } }
    components = centres.map { Component(weight: 0, mean: $0, covariance: []) }
    maximize(samples, hard, options.regularization)
    for _ in 0..<options.maximumSteps {
      let (responsibilities, likelihood) = expected(samples)
      let gain = likelihood - (logLikelihoods.last ?? -.infinity)
      logLikelihoods.append(likelihood)
      guard gain >= options.tolerance else { return }
      maximize(samples, responsibilities, options.regularization)
    }
    logLikelihoods.append(expected(samples).meanLogLikelihood)
  }

  /// The most probable component of each sample; of equal ones the first.
  func labels(of samples: Samples) -> [Int] {
    let densities = logDensities(of: samples)
    return (0..<samples.count).map { sample in
      components.indices.dropFirst().reduce(0) { densities[$1][sample] > densities[$0][sample] ? $1 : $0 }
    }
  }

  /// By component and sample, and the mean over samples of `log Σ_k π_k N(x; μ_k, Σ_k)`.
  private func expected(_ samples: Samples) -> (responsibilities: [[Double]], meanLogLikelihood: Double) {
    var densities = logDensities(of: samples)
    var sum = 0.0
    for sample in 0..<samples.count {
      let highest = densities.reduce(-Double.infinity) { max($0, $1[sample]) }
      let total = highest + log(densities.reduce(0) { $0 + exp($1[sample] - highest) })
      for component in densities.indices { densities[component][sample] = exp(densities[component][sample] - total) }
      sum += total
    }
    return (densities, sum / Double(samples.count))
  }

  /// `log π_k + log N(x; μ_k, Σ_k)` by component and sample.
  private func logDensities(of samples: Samples) -> [[Double]] {
    let width = samples.width
    let constant = Double(width) * log(2 * Double.pi)
    return components.map { component in
      let factor = Cholesky(component.covariance, width: width)
      let offset = log(component.weight) - 0.5 * (constant + factor.logDeterminant)
      return (0..<samples.count).map { offset - 0.5 * factor.squaredLength(samples[$0], from: component.mean) }
    }
  }

  private mutating func maximize(_ samples: Samples, _ responsibilities: [[Double]], _ regularization: Double) {
    let width = samples.width
    for (index, weights) in responsibilities.enumerated() {
      let mass = weights.reduce(0, +)
      components[index].weight = mass / Double(samples.count)
      // One that no sample belongs to stays where it is, with no weight.
      guard mass > 1e-10 else {
        if components[index].covariance.isEmpty {
          components[index].covariance = Self.diagonal(regularization, width)
        }
        continue
      }
      var mean = [Double](repeating: 0, count: width)
      for (sample, weight) in weights.enumerated() where weight > 0 {
        for (place, value) in samples[sample].enumerated() { mean[place] += weight * value }
      }
      for place in mean.indices { mean[place] /= mass }
      var covariance = [Double](repeating: 0, count: width * width)
      var centred = mean
      for (sample, weight) in weights.enumerated() where weight > 0 {
        for (place, value) in samples[sample].enumerated() { centred[place] = value - mean[place] }
        covariance.withUnsafeMutableBufferPointer { covariance in
          for row in 0..<width {
            let scaled = weight * centred[row]
            for column in 0...row { covariance[row * width + column] += scaled * centred[column] }
          }
        }
      }
      for row in 0..<width {
        for column in 0...row {
          let value = covariance[row * width + column] / mass + (row == column ? regularization : 0)
          covariance[row * width + column] = value
          covariance[column * width + row] = value
        }
      }
      components[index].mean = mean
      components[index].covariance = covariance
    }
  }

  private static func diagonal(_ value: Double, _ width: Int) -> [Double] {
    (0..<width * width).map { $0 % (width + 1) == 0 ? value : 0 }
  }
}

/// `L` of a covariance `L · Lᵀ`.
private struct Cholesky {
  let width: Int
  /// Row-major, the lower triangle.
  private var lower: [Double]

  init(_ matrix: [Double], width: Int) {
    self.width = width
    lower = matrix
    for row in 0..<width {
      for column in 0...row {
        var value = lower[row * width + column]
        for inner in 0..<column { value -= lower[row * width + inner] * lower[column * width + inner] }
        // Rounding may leave a pivot at or below zero where the regularization is lost beside the variances.
        let pivot = matrix[row * width + row] * 1e-14 + .leastNormalMagnitude
        lower[row * width + column] =
          row == column ? max(value, pivot).squareRoot() : value / lower[column * width + column]
      }
    }
  }

  var logDeterminant: Double { (0..<width).reduce(0) { $0 + 2 * log(lower[$1 * width + $1]) } }

  /// `(x − μ)ᵀ Σ⁻¹ (x − μ)`
  func squaredLength(_ sample: ArraySlice<Double>, from mean: [Double]) -> Double {
    var solved = [Double](repeating: 0, count: width)
    var sum = 0.0
    lower.withUnsafeBufferPointer { lower in
      for row in 0..<width {
        var value = sample[sample.startIndex + row] - mean[row]
        for column in 0..<row { value -= lower[row * width + column] * solved[column] }
        solved[row] = value / lower[row * width + row]
        sum += solved[row] * solved[row]
      }
    }
    return sum
  }
}
