import NeuralNetworks
import Tensors

/// A mixture of adapters of different capacity beside each site, and a router that sends every token to one of them.
///
/// Lee et al. 2023, "Domain Generalization using Large Pretrained Models with Mixture-of-Adapters", arXiv:2310.11031:
///
///     y = Wx + b + Σ_e g_e(x) · D_e(x) + β
///
/// with gates `g` from a cosine router on the site's own input, Kronecker or LoRA experts `D_e`, and for Kronecker experts
/// a trained bias `β` and DropConnect on the experts' weights. The defaults are the released configuration.
///
/// Every gate is a probability that is *not* renormalized after the choice, so equal experts are not one adapter; the whole
/// does not merge into the weight, because the gates depend on the token.
public struct MixtureOfAdapters: AdapterConfiguration {
  public static let method = "MIXTURE_OF_ADAPTERS"
  public static let summary = "experts of different capacity and a token router (MoA)"
  public static let paper: String? = "arXiv:2310.11031"
  /// As published: queries, keys and values of every second block.
  public static let placement = AdapterPlacement.linearMaps(.qkv, .everySecond)

  public enum Experts: Codable, Hashable, Sendable {
    /// Kronecker experts; the dimension `P` divides both sides of every site.
    case kronecker(dimension: Int)
    /// LoRA experts of scale 1, `A` normal with standard deviation 1/rank.
    case lora
  }

  public var experts: Experts
  /// One expert for each.
  public var ranks: [Int]
  public var router = Router.Configuration()
  /// Experts for each token, `1 ... experts`.
  public var topK = 1
  public var gating = Gating.rawProbability
  /// Standard deviation of the noise on the logits while training; nil for `1 / experts`.
  public var noise: Double?
  /// Weight of each site's load-balancing loss; zero leaves it out.
  public var auxiliaryWeight = 0.01
  /// Kronecker experts only: the probability that an entry of an expert's weight is dropped for one step, `0 ..< 1`.
  public var dropConnect = 0.5
  /// Kronecker experts only: whether `β` trains.
  public var bias = true
  public var initialization = KroneckerInitialization.glorot

  public enum Gating: String, Codable, Hashable, Sendable {
    /// The chosen experts' probabilities among all, as the official code has them.
    case rawProbability
    /// Divided by their sum.
    case renormalized
  }

  public static let optionalSettings: Set<String> = ["noise"]

  /// The released K-MoA configuration.
  public init() { self.init(of: .kronecker(dimension: 64)) }

  public init(of experts: Experts, ranks: [Int] = [1, 2, 4, 8]) {
    self.experts = experts
    self.ranks = ranks
  }

  public var obstacleToMerging: String? {
    ranks.count == 1
      ? nil
      : "the gates depend on the token, so no one weight gives the same outputs; an export with mean gates is approximate"
  }

  /// The standard deviation of the noise on logits, and of the smoothing in the load.
  var noiseDeviation: Double { noise ?? 1 / Double(ranks.count) }

  public func validate(_ sites: [Site]) throws {
    guard !ranks.isEmpty else { throw AdapterError.noExperts }
    guard (1...ranks.count).contains(topK) else { throw AdapterError.topK(topK, experts: ranks.count) }
    try AdapterError.checkRate("dropConnect", dropConnect)
    guard auxiliaryWeight >= 0, auxiliaryWeight.isFinite else {
      throw AdapterError.outOfRange("auxiliaryWeight", auxiliaryWeight, "0 or more")
    }
    guard noiseDeviation >= 0, noiseDeviation.isFinite else {
      throw AdapterError.outOfRange("noise", noiseDeviation, "0 or more")
    }
    try router.validate()
    for site in sites {
      var limit = min(site.inFeatures, site.outFeatures)
      if case .kronecker(let dimension) = experts {
        guard dimension > 0, site.inFeatures % dimension == 0, site.outFeatures % dimension == 0 else {
          throw AdapterError.notDivisible(
            dimension: dimension, site: site.name, inFeatures: site.inFeatures, outFeatures: site.outFeatures)
        }
        // A larger fine rank than this adds parameters and no freedom to U·V; small layers may still want it.
        limit = max(site.inFeatures, site.outFeatures)
      }
      for rank in ranks where !(1...limit).contains(rank) {
        throw AdapterError.rank(rank, site: site.name, limit: limit)
      }
    }
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    var parts = AdapterParts()
    var slow: KroneckerExpert.Slow?
    if case .kronecker(let dimension) = experts {
      slow = try KroneckerExpert.Slow(dimension: dimension, device: backbone.device, generator: generator)
    }
    parts.parameters = slow.map { [$0.left, $0.right] } ?? []
    for site in sites {
      let layer = try MixtureLayer(self, at: site, slow: slow, device: backbone.device, generator: generator)
      parts.corrections[site.name] = layer
      parts.parameters += layer.parameters
    }
    return parts
  }
}

extension AdapterConfiguration where Self == MixtureOfAdapters {
  public static func mixture(of experts: MixtureOfAdapters.Experts, ranks: [Int] = [1, 2, 4, 8]) -> MixtureOfAdapters {
    MixtureOfAdapters(of: experts, ranks: ranks)
  }
}
