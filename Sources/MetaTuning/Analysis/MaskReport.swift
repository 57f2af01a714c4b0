import Foundation
import NeuralNetworks
import Reports
import Tensors
import Training

/// Where the experts of a trained model are open, and how much of it they share.
///
/// Chen et al. 2024, arXiv:2403.08477, the figures of learned sparsity by layer type and by block and of expert overlap. A gate is
/// open where its median is above 0.
public struct MaskReport: Sendable, Hashable, Codable {
  /// The fraction of open gates in a part of the network.
  public struct Density: Sendable, Hashable, Codable {
    public var name: String
    /// Of the network's weights.
    public var weights: Int
    /// One for each expert.
    public var experts: [Double]

    /// Over the experts.
    public var mean: Double { Statistics.mean(experts) ?? .nan }
    /// Over the experts, all of which there are.
    public var deviation: Double { Statistics.standardDeviation(experts, .population) ?? .nan }
  }

  /// By layer type; weighted by size, the rows average to `total`.
  public var types: [Density]
  /// By block, numbered from 0 as in the names of tensors; the embeddings and what else is outside of blocks left out.
  public var blocks: [Density]
  public var total: Density
  /// Of the weights, those that some expert has open.
  public var union: Double
  /// Of all gates of all experts, those that are neither 0 nor 1.
  public var notBinary: Double
  /// Of all gates of all experts, those closed by the median and open by the estimator of the L0 paper: weights off in training and
  /// on in a test that uses the other.
  public var openInEstimatorOnly: Double
  /// `|A ∩ B| / |A ∪ B|` of the open gates of two experts; not-a-number where neither has one.
  public var intersectionOverUnion: [[Double]]
  /// `|A ∩ B| / |A|`, A the row's; not symmetric.
  public var containment: [[Double]]

  /// What `intersectionOverUnion` of two experts would be, were their gates open at random: `d₁d₂ / (d₁ + d₂ − d₁d₂)`, the mean
  /// over pairs. nil for a single expert.
  public var chanceIntersectionOverUnion: Double? {
    meanOverPairs { $0 * $1 / ($0 + $1 - $0 * $1) }
  }
  /// The same of `containment`: the density of the other expert.
  public var chanceContainment: Double? { meanOverPairs { $1 } }
  /// The mean of the pairs' IoU; nil for a single expert.
  public var meanIntersectionOverUnion: Double? {
    let experts = intersectionOverUnion.indices
    return Statistics.mean(
      experts.flatMap { first in
        experts.filter { $0 != first }.map { intersectionOverUnion[first][$0] }.filter(\.isFinite)
      })
  }

  /// The least sparsity of an expert where it misses a target by more than 0.01; nil where none does.
  public func sparsityBelow(_ target: Double) -> Double? {
    total.experts.map { 1 - $0 }.min().flatMap { $0 < target - 0.01 ? $0 : nil }
  }

  private func meanOverPairs(_ value: (Double, Double) -> Double) -> Double? {
    let densities = total.experts
    return Statistics.mean(
      densities.indices.flatMap { first in
        densities.indices.filter { $0 != first }.map { value(densities[first], densities[$0]) }.filter(\.isFinite)
      })
  }

  /// - Parameter experts: of this backbone.
  @Compute
  public init(of experts: SparseExperts, on backbone: any Backbone) throws {
    let parts = LayerPart.all(of: backbone)
    let byTensor = Dictionary(grouping: parts, by: \.tensor)
    let count = experts.expertCount
    var open: [LayerPart: [Int]] = [:]
    var shared = [[Int]](repeating: [Int](repeating: 0, count: count), count: count)
    var inSome = 0
    var (binary, estimatorOnly) = (0, 0)
    for (index, offset) in experts.offsets.enumerated() {
      for counts in try offset.counts(expectedOpen: false) {
        binary += counts.zeros + counts.ones
        estimatorOnly += counts.zerosOfMedianOnly
      }
      let masks = try Self.masks(of: offset, experts: count)
      for part in byTensor[index] ?? [] {
        let own = try part.rows.map { rows in try Self.rows(rows, of: masks, shape: offset.offset.shape) } ?? masks
        open[part] = try own.to(.int64).sum(1).integers()
      }
      inSome += try masks.max(0).to(.int64).sum().integer()
      try Self.add(masks, to: &shared)
    }
    let weights = parts.reduce(0) { $0 + $1.count }
    func density(_ name: String, _ chosen: [LayerPart]) -> Density {
      let size = chosen.reduce(0) { $0 + $1.count }
      let sums = chosen.reduce([Int](repeating: 0, count: count)) { sums, part in
        zip(sums, open[part] ?? []).map { $0 + $1 }
      }
      return Density(name: name, weights: size, experts: sums.map { Double($0) / Double(max(1, size)) })
    }
    types = LayerType.allCases.compactMap { type in
      let chosen = parts.filter { $0.type == type }
      return chosen.isEmpty ? nil : density(type.rawValue, chosen)
    }
    blocks = Set(parts.compactMap(\.block)).sorted().map { block in
      density("\(block)", parts.filter { $0.block == block })
    }
    total = density("all", parts)
    union = Double(inSome) / Double(max(1, weights))
    let gates = Double(max(1, weights * count))
    notBinary = 1 - Double(binary) / gates
    openInEstimatorOnly = Double(estimatorOnly) / gates
    intersectionOverUnion = shared.indices.map { first in
      shared.indices.map { second in
        Double(shared[first][second])
          / Double(shared[first][first] + shared[second][second] - shared[first][second])
      }
    }
    containment = shared.indices.map { first in
      shared.indices.map { Double(shared[first][$0]) / Double(shared[first][first]) }
    }
  }

  /// Open gates as 1, `[experts, count]` float32.
  @Compute
  private static func masks(of offset: MaskedOffset, experts: Int) throws -> Tensor {
    let weights = offset.offset.count
    guard let logits = offset.logits else { return try .ones([experts, weights]) }
    return try logits.detached().reshaped([experts, weights]).isGreater(than: -HardConcrete.bound).to(.float32)
  }

  private static func rows(_ rows: Range<Int>, of masks: Tensor, shape: [Int]) throws -> Tensor {
    let width = masks.shape[1] / max(1, shape[0])
    return try masks.narrowed(1, rows.lowerBound * width..<rows.upperBound * width)
  }

  /// Adds `|A ∩ B|` of every two experts. float32 counts without error up to 2²⁴, so a tensor goes in pieces.
  private static func add(_ masks: Tensor, to shared: inout [[Int]]) throws {
    let (weights, piece) = (masks.shape[1], 1 << 23)
    for start in stride(from: 0, to: weights, by: piece) {
      let part = try masks.narrowed(1, start..<min(start + piece, weights))
      let counts = try part.matmul(part.transposed()).integers()
      for first in shared.indices {
        for second in shared.indices { shared[first][second] += counts[first * shared.count + second] }
      }
    }
  }
}

extension MaskReport {
  /// Density by layer type, a bar each with the deviation over experts.
  public var typeFigure: String { Self.figure("Open gates by layer type", types) }
  /// The same by block.
  public var blockFigure: String { Self.figure("Open gates by block", blocks) }

  /// The overlap of every two experts.
  public var overlapFigure: String {
    let names = intersectionOverUnion.indices.map { "\($0)" }
    var map = HeatMap(
      title: "Overlap of experts (intersection over union)", rows: names, columns: names,
      values: intersectionOverUnion.map { $0.map { $0.isFinite ? $0 : nil } }, range: 0...1)
    map.decimals = 2
    return map.svg
  }

  private static func figure(_ title: String, _ densities: [Density]) -> String {
    BarChart(
      title: title, verticalLabel: "fraction of weights", groups: densities.map(\.name),
      series: [
        .init(name: "mean and deviation over experts", bars: densities.map { .init($0.mean, error: $0.deviation) })
      ]
    ).svg
  }
}
