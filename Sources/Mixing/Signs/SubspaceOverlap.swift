import Adapters
import NeuralNetworks
import Tensors

/// How much of the directions that two low-rank adapters read from and write to they share: for each map the mean squared cosine
/// of the principal angles between the row spaces of the two `A`, and between the column spaces of the two `B`,
///
///     φ = ‖U₁ᵀ U₂‖²_F / min(r₁, r₂),   0 (orthogonal) ... 1 (one within the other)
///
/// with orthonormal bases `U` of the whole spaces. Hu et al. 2021, "LoRA", arXiv:2106.09685, §7.2, measure the same of the
/// subspaces spanned by the first `i` and `j` singular vectors; here both are whole, and ranks are numerical: singular values above
/// `max · (longer side) · 2⁻⁵²`. Two random subspaces of `d` dimensions have `max(r₁, r₂) / d` on average.
public struct SubspaceOverlap: Codable, Hashable, Sendable {
  /// Of the row spaces of `A`, the mean over the maps that both change.
  public let input: Double
  /// Of the column spaces of `B`.
  public let output: Double
  /// What random subspaces of the same ranks would have.
  public let inputChance: Double
  public let outputChance: Double
  /// The maps that both change.
  public let sites: Int

  enum CodingKeys: String, CodingKey {
    case input, output, sites
    case inputChance = "input_chance"
    case outputChance = "output_chance"
  }

  /// For each two adapters of one backbone; nil where they share no map that both change by a product of two factors.
  ///
  /// - Throws: `MixingError.noChange`, `.layout`
  public static func between(_ models: [AdaptedModel], names: [String]) throws -> [[SubspaceOverlap?]] {
    let changes = try LinearChanges(models, names: names)
    let sums = try withoutGradients {
      var sums = [[Sum]](repeating: [Sum](repeating: Sum(), count: models.count), count: models.count)
      for site in changes.sites {
        let spaces = try changes.at(site).map { try $0?.lowRank.flatMap { try Spaces($0) } }
        for (row, first) in spaces.enumerated() {
          for (column, second) in spaces.enumerated() {
            if let first, let second { try sums[row][column].add(first, second) }
          }
        }
      }
      return sums
    }
    return sums.map { $0.map(\.mean) }
  }

  /// Orthonormal columns that span what a change reads from and writes to.
  private struct Spaces {
    let input: Tensor
    let output: Tensor

    init?(_ delta: LowRankDelta) throws {
      let down = try delta.down.detached().to(.float64).transposed()
      guard let input = try Self.basis(down), let output = try Self.basis(delta.up.detached().to(.float64)) else {
        return nil
      }
      (self.input, self.output) = (input, output)
    }

    /// Of the column space; nil for a matrix of zeros.
    private static func basis(_ matrix: Tensor) throws -> Tensor? {
      let (u, s, _) = try matrix.svd()
      let values = try s.doubles()
      let limit = (values.first ?? 0) * Double(matrix.shape.max() ?? 1) * 0x1p-52
      let rank = values.count { $0 > limit }
      return rank == 0 ? nil : try u.narrowed(1, 0..<rank)
    }
  }

  private struct Sum {
    var (input, output, inputChance, outputChance) = (0.0, 0.0, 0.0, 0.0)
    var sites = 0

    mutating func add(_ first: Spaces, _ second: Spaces) throws {
      let (inputs, outputs) = (
        try Self.overlap(first.input, second.input), try Self.overlap(first.output, second.output)
      )
      input += inputs.value
      inputChance += inputs.chance
      output += outputs.value
      outputChance += outputs.chance
      sites += 1
    }

    private static func overlap(_ first: Tensor, _ second: Tensor) throws -> (value: Double, chance: Double) {
      let cosines = try first.transposed().matmul(second)
      let (ranks, dimensions) = (cosines.shape, first.shape[0])
      let value = try (cosines * cosines).sum().item() / Double(ranks.min() ?? 1)
      return (min(1, value), Double(ranks.max() ?? 1) / Double(dimensions))
    }

    var mean: SubspaceOverlap? {
      guard sites > 0 else { return nil }
      let count = Double(sites)
      return SubspaceOverlap(
        input: input / count, output: output / count, inputChance: inputChance / count,
        outputChance: outputChance / count, sites: sites)
    }
  }
}
