import NeuralNetworks
import Tensors
import Training

/// Turns a task, given as the prototypes of its classes under the frozen backbone, into the mixing weights of the experts.
///
///     tokens = skills ++ prototypes            prototypes first in `.paper` and `.officialCode`
///     e      = block(tokens)[0]                pre-norm transformer block, no positions
///     ℓ_m    = ⟨k̂_m, LN(e)⟩                    ⟨k_m, e⟩ in `.paper` and `.officialCode`
///     s_m    = σ((ℓ_m + g_m) / T)              g logistic noise, in training
///     α_m    = s_m / (Σ s + 1e-8)
///
/// Chen et al. 2024, arXiv:2403.08477, and its code. A sigmoid, not a softmax: shifting all logits changes the weights.
///
/// In the code the embedding is read at the token of the first class, so that the same task with its classes renamed is mixed in
/// another way, and logits are of order ten from the start, where sigmoids are flat. `.recommended` reads a learned token, normalizes
/// the embedding and the keys, and does not depend on the order of classes; nothing depends on that of the support examples.
///
/// | parameter | shape | starts as |
/// |---|---|---|
/// | `skills` | `[4, width]` | normal, 1e-3 |
/// | `keys` | `[experts, width]` | normal, `√(2/width)` |
/// | `norm1`, `norm2` | `[width]` each | LayerNorms, epsilon 1e-5 |
/// | `qkv`, `proj`, `fc1`, `fc2` | 4 heads, MLP of twice the width | uniform; of spectral norm 1 |
@Compute
public final class Hypernetwork {
  public nonisolated let width: Int
  public nonisolated let experts: Int
  public nonisolated let preset: MetaPreset

  private let skills: Parameter
  private let keys: Parameter
  private let norms: [(scale: Parameter, shift: Parameter)]
  private let qkv: SpectralLinear
  private let projection: SpectralLinear
  private let up: SpectralLinear
  private let down: SpectralLinear

  private nonisolated static let heads = 4

  /// - Parameters:
  ///   - width: of the backbone's features, a multiple of 4.
  ///   - generator: each parameter draws from a stream of its own.
  /// - Throws: `HypernetworkError.width`
  public init(
    width: Int, experts: Int, preset: MetaPreset, generator: Generator, device: Device = .cpu, dtype: DType = .float32
  ) throws {
    guard width > 0, width.isMultiple(of: Self.heads) else { throw HypernetworkError.width(width, heads: Self.heads) }
    guard experts > 0 else { throw HypernetworkError.experts(experts) }
    self.width = width
    self.experts = experts
    self.preset = preset
    func normal(_ name: String, _ shape: [Int], _ deviation: Double) throws -> Parameter {
      try Parameter(
        name,
        .normal(shape, deviation: deviation, dtype: dtype, device: device, from: generator.derived(name)))
    }
    func norm(_ name: String) throws -> (Parameter, Parameter) {
      // AdamW's decay reaches every parameter, as in the published code.
      (
        try Parameter("\(name).weight", .ones([width], dtype: dtype, device: device), decays: true),
        try Parameter("\(name).bias", .zeros([width], dtype: dtype, device: device), decays: true)
      )
    }
    func map(_ name: String, _ from: Int, _ to: Int, hasBias: Bool = true) throws -> SpectralLinear {
      try SpectralLinear(
        name, from, to, hasBias: hasBias, device: device, dtype: dtype, generator: generator)
    }
    skills = try normal("skills", [4, width], 1e-3)
    keys = try normal("keys", [experts, width], (2 / Double(width)).squareRoot())
    norms = try ["norm1", "norm2"].map(norm)
    qkv = try map("qkv", width, 3 * width, hasBias: false)
    projection = try map("proj", width, width)
    up = try map("fc1", width, 2 * width)
    down = try map("fc2", 2 * width, width)
  }

  private var maps: [SpectralLinear] { [qkv, projection, up, down] }

  /// Everything that trains.
  public var parameters: [Parameter] {
    [skills, keys] + norms.flatMap { [$0.scale, $0.shift] } + maps.flatMap(\.parameters)
  }

  /// Parameters and the state of the power iterations, by name, in a fixed order. The tensors share memory.
  public var state: [(name: String, tensor: Tensor)] {
    parameters.map { ($0.name, $0.value) } + maps.flatMap(\.state)
  }

  /// One power iteration of every map: once before each task of training.
  public func iterate() throws {
    for map in maps { try map.iterate() }
  }

  /// α of one task, and ℓ.
  ///
  /// - Parameters:
  ///   - prototypes: `[ways, width]`, of the frozen backbone.
  ///   - temperature: `T`, above 0.
  ///   - noise: `g`, `[experts]`; nil in testing.
  /// - Returns: `[experts]` each, differentiable with respect to `parameters`. A single expert's weight is 1, but in
  ///   `.officialCode`, which keeps its sigmoid.
  public func mixing(prototypes: Tensor, temperature: Double, noise: Tensor? = nil) throws
    -> (mixing: Tensor, logits: Tensor)
  {
    let logits = try logits(of: prototypes)
    let noisy = try noise.map { try logits + $0 } ?? logits
    return (try Self.weights(of: noisy, temperature: temperature, preset: preset), logits)
  }

  /// `σ(ℓ/T) / (Σ σ(ℓ/T) + 1e-8)`, `[experts]`.
  nonisolated static func weights(of logits: Tensor, temperature: Double, preset: MetaPreset) throws -> Tensor {
    let open = try (logits / temperature).sigmoid()
    guard logits.count == 1 else { return try open / (open.sum() + 1e-8) }
    return preset == .officialCode ? open : try open.detached().zerosLike() + 1
  }

  private func logits(of prototypes: Tensor) throws -> Tensor {
    guard prototypes.rank == 2, prototypes.size(1) == width else {
      throw HypernetworkError.prototypes(prototypes.shape, width: width)
    }
    // The token at index 0 is read.
    let repaired = preset == .recommended
    let tokens = try Tensor.concatenated(repaired ? [skills.value, prototypes] : [prototypes, skills.value])
    let embedding = try block(tokens.unsqueezed(0)).select(1, 0).reshaped(width)
    guard repaired else { return try keys.value.matmul(embedding) }
    let normalized = try embedding.layerNorm(width: width, weight: nil, bias: nil, epsilon: 1e-5)
    let unitKeys = try keys.value / keys.value.norm(-1, keep: true).clamped(1e-12...Double.infinity)
    return try unitKeys.matmul(normalized)
  }

  private func block(_ tokens: Tensor) throws -> Tensor {
    let attended = try tokens + attention(norm(0, tokens))
    return try attended + down(up(norm(1, attended)).gelu())
  }

  private func norm(_ index: Int, _ tokens: Tensor) throws -> Tensor {
    try tokens.layerNorm(
      width: width, weight: norms[index].scale.value, bias: norms[index].shift.value, epsilon: 1e-5)
  }

  /// `[1, tokens, width]` to the same.
  private func attention(_ tokens: Tensor) throws -> Tensor {
    let count = tokens.shape[1]
    let split = try qkv(tokens).reshaped(1, count, 3, Self.heads, width / Self.heads).permuted(2, 0, 3, 1, 4)
    let mixed = try Tensor.attention(query: split.select(0, 0), key: split.select(0, 1), value: split.select(0, 2))
    return try projection(mixed.transposed(1, 2).reshaped(1, count, width))
  }
}

public enum HypernetworkError: Error, Equatable, CustomStringConvertible {
  case width(Int, heads: Int)
  case experts(Int)
  case prototypes([Int], width: Int)

  public var description: String {
    switch self {
    case .width(let width, let heads):
      """
      Features of width \(width) cannot be divided among the \(heads) heads of the hypernetwork. Use a backbone whose width is a \
      multiple of \(heads), or a method that mixes no experts, such as pmf or single_expert.
      """
    case .experts(let count): "A hypernetwork for \(count) experts has nothing to mix. Give one expert or more."
    case .prototypes(let shape, let width):
      "Prototypes of shape \(shape) do not fit: [ways, \(width)] is wanted, of the backbone that the model was made for."
    }
  }
}
