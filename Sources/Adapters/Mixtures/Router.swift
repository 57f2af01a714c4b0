import Foundation
import NeuralNetworks
import Tensors

/// Gives each token a logit for each expert.
///
/// The cosine router (Li et al. 2022, "Sparse Mixture-of-Experts are Domain Generalizable Learners", arXiv:2206.04046, as
/// Mixture-of-Adapters uses it):
///
///     z = W x + b,  logit_e = κ · cos(z, E_e),  κ = exp(min(θ, ln(1 / minimumTemperature)))
///
/// | parameter   | shape                    | starts as                    |
/// |-------------|--------------------------|------------------------------|
/// | `weight`    | `[projection, in]`       | uniform on ±1/√in            |
/// | `bias`      | `[projection]`           | uniform on ±1/√in            |
/// | `embedding` | `[projection, experts]`  | normal, deviation 0.01       |
/// | `logScale`  | `[1]`, `θ`               | `ln(1 / initialTemperature)` |
///
/// The linear router has the one `weight`, `[experts, in]`.
///
/// Routing runs in float32 whatever the precision of the rest: gradients here are tiny, and near ties decide experts.
public struct Router: Sendable {
  public enum Configuration: Codable, Hashable, Sendable {
    case cosine(projection: Int, initialTemperature: Double, minimumTemperature: Double)
    case linear

    /// Cosine, projected to 256, temperature 0.5 at the start and at least 0.01.
    public init() { self = .cosine(projection: 256, initialTemperature: 0.5, minimumTemperature: 0.01) }

    public static func cosine(projection: Int) -> Configuration {
      .cosine(projection: projection, initialTemperature: 0.5, minimumTemperature: 0.01)
    }

    func validate() throws {
      guard case .cosine(let projection, let initial, let minimum) = self else { return }
      guard projection > 0 else { throw AdapterError.outOfRange("projection", Double(projection), "1 or more") }
      guard minimum > 0, minimum.isFinite else {
        throw AdapterError.outOfRange("minimumTemperature", minimum, "a positive number")
      }
      guard initial >= minimum, initial.isFinite else {
        throw AdapterError.outOfRange("initialTemperature", initial, "at least minimumTemperature, \(minimum)")
      }
    }
  }

  let weight: Parameter
  let cosine: (bias: Parameter, embedding: Parameter, logScale: Parameter, largestLogScale: Double)?

  var parameters: [Parameter] {
    [weight] + (cosine.map { [$0.bias, $0.embedding, $0.logScale] } ?? [])
  }
  /// `[tokens, in]` to logits `[tokens, experts]`, without noise.
  func logits(_ tokens: Tensor) throws -> Tensor {
    guard let cosine else { return try tokens.linear(weight.value) }
    let projected = try tokens.linear(weight.value, cosine.bias.value)
    // Dividing the logits by the tokens' norms reads [tokens, experts] where normalizing the tokens would write
    // [tokens, projection].
    let norms = try projected.norm(1, keep: true).maximum(atLeast: 1e-12)
    let embedding = try cosine.embedding.value / cosine.embedding.value.norm(0, keep: true).maximum(atLeast: 1e-12)
    // Past the bound the scale is a constant, and θ gets no gradient.
    let scale = try cosine.logScale.value.clamped(-.infinity...cosine.largestLogScale).exp()
    return try projected.matmul(embedding) / norms * scale
  }

  /// What was decided for each token.
  struct Decision {
    /// `[tokens, experts]`, zero for an expert not chosen.
    let gates: Tensor
    /// `[tokens, experts]`, softmax of the logits without noise.
    let probabilities: Tensor
    /// `[tokens]`: the smallest noisy probability among the chosen.
    let threshold: Tensor
  }

  /// Chooses `topK` experts for each of `tokens`, `[tokens, in]`. Of equal probabilities the first expert wins.
  ///
  /// - Parameter noise: added to the logits, `[tokens, experts]`; nil in evaluation.
  func decide(
    _ tokens: Tensor, topK: Int, gating: MixtureOfAdapters.Gating, noise: Tensor?
  ) throws -> Decision {
    let logits = try logits(tokens)
    let clean = try logits.softmax()
    let noisy = try noise.map { try (logits + $0).softmax() } ?? clean
    let chosen: Tensor
    if topK == 1 {
      chosen = try noisy.argmax(1, keep: true)
    } else {
      chosen = try withoutGradients { try noisy.sorted(1, descending: true).indices.narrowed(1, 0..<topK) }
    }
    let values = try noisy.gathered(1, chosen)
    let kept = gating == .renormalized ? try values / values.sum(1, keep: true) : values
    let gates = try noisy.zerosLike().scattered(1, chosen, kept)
    return Decision(gates: gates, probabilities: clean, threshold: try values.min(1))
  }
}

extension Router {
  /// A fresh router.
  init(
    _ configuration: Configuration, name: String, inFeatures: Int, experts: Int, device: Device, generator: Generator
  ) throws {
    let bound = 1 / Double(inFeatures).squareRoot()
    switch configuration {
    case .linear:
      weight = try Parameter(
        "\(name).weight", .uniform([experts, inFeatures], -bound, bound, device: device, from: generator),
        isWeight: false)
      cosine = nil
    case .cosine(let projection, let initialTemperature, let minimumTemperature):
      weight = try Parameter(
        "\(name).weight", .uniform([projection, inFeatures], -bound, bound, device: device, from: generator),
        isWeight: false)
      cosine = (
        bias: try Parameter(
          "\(name).bias", .uniform([projection], -bound, bound, device: device, from: generator)),
        embedding: try Parameter(
          "\(name).embedding", .normal([projection, experts], deviation: 0.01, device: device, from: generator),
          isWeight: false),
        logScale: try Parameter("\(name).logScale", .full(log(1 / initialTemperature), [1], device: device)),
        largestLogScale: log(1 / minimumTemperature)
      )
    }
  }
}

extension Tensor {
  func maximum(atLeast bound: Double) throws -> Tensor { try clamped(bound...(.infinity)) }
}
