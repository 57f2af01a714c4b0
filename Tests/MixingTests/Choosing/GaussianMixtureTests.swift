import Foundation
import Tensors
import Testing

@testable import Mixing

@Suite struct GaussianMixtureTests {
  /// Samples around centres, each stretched along its own direction.
  func clouds(_ centres: [[Double]], each count: Int, spread: Double, seed: UInt64 = 1) throws -> Samples {
    let width = centres[0].count
    let generator = try Generator(seed: seed)
    let values = try centres.enumerated().flatMap { index, centre in
      try (0..<count).flatMap { _ in
        let noise = try Tensor.normal([width], dtype: .float64, from: generator).doubles()
        return zip(centre, noise).enumerated().map { place, pair in
          pair.0 + spread * pair.1 * (place == index % width ? 2 : 1)
        }
      }
    }
    return Samples(count: centres.count * count, width: width, values: values)
  }

  @Test func `known clusters are found, with their means, spreads and weights`() throws {
    let centres: [[Double]] = [[0, 0, 0], [9, 0, 3], [0, 8, -4]]
    let samples = try clouds(centres, each: 400, spread: 0.5)
    let mixture = GaussianMixture(fitting: samples, from: [[1, 1, 0], [6, 1, 1], [1, 5, -1]])
    #expect(mixture.labels(of: samples) == (0..<1200).map { $0 / 400 })
    for (index, component) in mixture.components.enumerated() {
      #expect(abs(component.weight - 1 / 3.0) < 1e-6)
      #expect(zip(component.mean, centres[index]).allSatisfy { abs($0 - $1) < 0.15 })
      for place in 0..<3 {
        let variance = component.covariance[place * 4]
        #expect(abs(variance - (place == index ? 1 : 0.25)) < 0.2)
      }
    }
  }

  @Test func `every step of fitting raises the likelihood`() throws {
    let samples = try clouds([[0, 0], [1.5, 0.5], [0.3, 1.8]], each: 120, spread: 0.8)
    var options = GaussianMixture.Options()
    (options.regularization, options.tolerance, options.maximumSteps) = (0, 1e-9, 60)
    let mixture = GaussianMixture(fitting: samples, from: [[0, 0], [1, 0], [0, 1]], options)
    let likelihoods = mixture.logLikelihoods
    #expect(likelihoods.count > 10)
    for (before, after) in zip(likelihoods, likelihoods.dropFirst()) { #expect(after >= before - 1e-12) }
    #expect(abs(mixture.components.reduce(0) { $0 + $1.weight } - 1) < 1e-12)
  }

  @Test func `the likelihood is that of the density`() throws {
    // One component of four samples: mean (1, 0), covariance [[1, 0], [0, 1/2]] and no regularization.
    let samples = Samples(count: 4, width: 2, values: [0, 0, 2, 0, 1, 1, 1, -1].map { $0 * 1.0 })
    var options = GaussianMixture.Options()
    options.regularization = 0
    let mixture = GaussianMixture(fitting: samples, from: [[0, 0]], options)
    #expect(mixture.components[0].mean == [1, 0] && mixture.components[0].covariance == [0.5, 0, 0, 0.5])
    let expected = -log(2 * Double.pi) - 0.5 * log(0.25) - 1
    #expect(abs((mixture.logLikelihoods.last ?? 0) - expected) < 1e-12)
  }

  @Test func `equal samples, and fewer of them than dimensions, stay finite`() throws {
    let same = Samples(count: 5, width: 3, values: [Double](repeating: 2, count: 15))
    let few = Samples(count: 2, width: 6, values: (0..<12).map(Double.init))
    for (samples, centres) in [(same, [[2.0, 2, 2], [2, 2, 2]]), (few, [Array(few[0]), Array(few[1])])] {
      let mixture = GaussianMixture(fitting: samples, from: centres)
      #expect(mixture.logLikelihoods.allSatisfy { $0.isFinite })
      #expect(mixture.components.allSatisfy { $0.covariance.allSatisfy(\.isFinite) && $0.weight.isFinite })
    }
    #expect(GaussianMixture(fitting: few, from: [Array(few[0]), Array(few[1])]).labels(of: few) == [0, 1])
  }

  @Test func `a centre that no sample is nearest to ends without weight`() throws {
    let samples = try clouds([[0, 0]], each: 50, spread: 1)
    let mixture = GaussianMixture(fitting: samples, from: [[0, 0], [500, 500]])
    #expect(mixture.components[1].weight == 0 && mixture.components[1].mean == [500, 500])
    #expect(Set(mixture.labels(of: samples)) == [0])
  }
}
