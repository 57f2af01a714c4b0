import Tensors

/// A vision transformer: ViT, DeiT, DINOv2 and the image towers of CLIP and OpenCLIP, as one network.
///
/// Dosovitskiy et al. 2021, "An Image is Worth 16×16 Words", arXiv:2010.11929: patches become tokens, then pre-norm blocks
/// `x ← x + γ₁·attn(LN(x))`, `x ← x + γ₂·mlp(LN(x))`. LayerScale γ (DINOv2), the LayerNorm before the blocks (CLIP), register
/// and distillation tokens are there where the weights have them.
///
/// Sites: `blocks.N.attn.qkv`, `.attn.proj`, `.mlp.fc1`, `.mlp.fc2`. Queries, keys and values are one map `[q; k; v]`
/// whatever the file held.
public final class VisionTransformer: Backbone {
  public let configuration: VisionTransformerConfiguration
  public let sites: [Site]
  public let branches: [Branch]
  public let layerNorms: [String]
  public let stem: String? = "patch_embed"
  public let tensors: [(name: String, tensor: Tensor)]
  public let device: Device
  public let fingerprint: String
  /// What was found in the file and what was left unused, and why.
  public let report: LoadReport
  /// The pixel statistics that the network was trained with.
  public let normalization: ImageNormalization
  /// What the file holds beside the network: CLIP's projection and pretrained classifiers.
  public let beside: Beside
  private let sources: [String: [String]]

  private let patch: (weight: Tensor, bias: NamedTensor?)
  private let prefixTensors: [NamedTensor]
  private let prefixCount: Int
  private let positions: PositionEmbeddings
  private let preNorm: Norm?
  private let blocks: [TransformerBlock]
  private let norm: Norm?
  private let pooledNorm: Norm?

  /// Tensors of the file that are not part of the features.
  public struct Beside: Sendable {
    /// CLIP's projection of the features into the space it shares with text, `[projection, width]`.
    public var projection: Tensor?
    /// A pretrained classifier, `[classes, width]` and `[classes]`.
    public var classifier: (weight: Tensor, bias: Tensor?)?
    /// DeiT's second classifier, on the distillation token.
    public var distillationClassifier: (weight: Tensor, bias: Tensor?)?

    public init(
      projection: Tensor? = nil, classifier: (Tensor, Tensor?)? = nil, distillationClassifier: (Tensor, Tensor?)? = nil
    ) {
      self.projection = projection
      self.classifier = classifier
      self.distillationClassifier = distillationClassifier
    }

    func moved(to device: Device) throws -> Beside {
      func moved(_ classifier: (weight: Tensor, bias: Tensor?)?) throws -> (Tensor, Tensor?)? {
        try classifier.map { (try $0.weight.to(device), try $0.bias?.to(device)) }
      }
      return Beside(
        projection: try projection?.to(device), classifier: try moved(classifier),
        distillationClassifier: try moved(distillationClassifier))
    }
  }

  /// Builds the network from tensors under their canonical names; whoever read the file has checked that none is missing.
  init(
    _ configuration: VisionTransformerConfiguration, weights: CanonicalWeights, device: Device, fingerprint: String,
    normalization: ImageNormalization, beside: Beside, report: LoadReport
  ) throws {
    let weights = try weights.moved(to: device)
    self.normalization = normalization
    self.beside = try beside.moved(to: device)
    sources = weights.sources
    self.configuration = configuration
    self.device = device
    self.fingerprint = fingerprint
    self.report = report
    tensors = weights.ordered

    func norm(_ name: String) throws -> Norm? {
      guard weights["\(name).weight"] != nil else { return nil }
      return try Norm(name, of: weights, epsilon: configuration.layerNormEpsilon)
    }

    let width = configuration.width
    patch = (try weights.tensor("patch_embed.weight"), weights.optional("patch_embed.bias"))
    prefixTensors = ["cls_token", "dist_token", "reg_token"].compactMap(weights.optional)
    prefixCount = prefixTensors.reduce(0) { $0 + $1.tensor.count / width }
    positions = try PositionEmbeddings(
      weights.tensor("pos_embed"), grid: configuration.grid,
      prefix: configuration.positionsCoverPrefix ? prefixCount - (weights["reg_token"]?.shape[1] ?? 0) : 0,
      antialias: configuration.antialiasPositions)
    preNorm = try norm("norm_pre")
    self.norm = try norm("norm")
    pooledNorm = try norm("fc_norm")
    blocks = try (0..<configuration.depth).map { index in
      try TransformerBlock(
        index, of: weights, width: width, heads: configuration.heads, epsilon: configuration.layerNormEpsilon,
        activation: configuration.activation)
    }
    sites = blocks.sites
    branches = blocks.branches
    layerNorms =
      (preNorm == nil ? [] : ["norm_pre"]) + blocks.layerNorms + (self.norm == nil ? [] : ["norm"])
      + (pooledNorm == nil ? [] : ["fc_norm"])
  }

  public var featureWidth: Int { configuration.width * (configuration.pooling == .classAndMeanPatch ? 2 : 1) }

  public func linear(at site: Site) throws -> Linear { try blocks.linear(at: site) }

  /// The modules of the file that make up a site: one, or query, key and value. OpenCLIP's `attn.in_proj_weight` belongs to
  /// the module `attn`.
  public func modules(at site: Site) -> [String] { CanonicalWeights.modules(at: site, from: sources) }

  /// `[batch, 3, height, width]`, normalized pixels, to `[batch, featureWidth]`. Sides are multiples of the patch size.
  public func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    try pooled(tokens(input, adaptation: adaptation, pass: pass), adaptation)
  }

  /// `[batch, 3, height, width]` to all tokens after the last block and the final LayerNorm, `[batch, tokens, width]`: class
  /// token, distillation token, registers, patches row by row.
  public func tokens(_ input: Tensor, adaptation: any Adaptation = Frozen(), pass: ForwardPass = ForwardPass()) throws
    -> Tensor
  {
    var x = try embedded(input, adaptation)
    if let preNorm { x = try preNorm(x, adaptation) }
    for (index, block) in blocks.enumerated() {
      x = try adaptation.sequence(x, entering: index, prefix: prefixCount, pass: pass)
      x = try block.normalizingBefore(x, adaptation, pass)
    }
    x = try adaptation.sequence(x, entering: nil, prefix: prefixCount, pass: pass)
    return try norm?(x, adaptation) ?? x
  }

  /// How many tokens stand before the patches.
  public var prefixTokens: Int { prefixCount }

  private func embedded(_ input: Tensor, _ adaptation: any Adaptation) throws -> Tensor {
    let shape = input.shape
    let size = configuration.patchSize
    guard shape.count == 4, shape[1] == 3, shape[2] % size == 0, shape[3] % size == 0, shape[2] > 0, shape[3] > 0 else {
      throw BackboneError.input(shape, patchSize: size)
    }
    let (batch, rows, columns) = (shape[0], shape[2] / size, shape[3] / size)
    let patches = try input.reshaped(batch, 3, rows, size, columns, size).permuted(0, 2, 4, 1, 3, 5)
      .reshaped(batch, rows * columns, 3 * size * size)
    let weight = try adaptation.value(of: "patch_embed.weight", original: patch.weight)
    let tokens = try patches.linear(weight.reshaped(configuration.width, -1), patch.bias?.value(adaptation))
    let (forPrefix, forPatches) = try positions.embeddings(
      rows: rows, columns: columns, table: adaptation.value(of: "pos_embed", original: positions.table))
    var start = try tokensBefore(adaptation)
    if let forPrefix {
      let covered = forPrefix.shape[1]
      let moved = try start.narrowed(1, 0..<covered) + forPrefix
      start =
        covered == prefixCount
        ? moved : try .concatenated([moved, start.narrowed(1, covered..<prefixCount)], dimension: 1)
    }
    return try .concatenated([start.expanded(batch, -1, -1), tokens + forPatches], dimension: 1)
  }

  private func tokensBefore(_ adaptation: any Adaptation) throws -> Tensor {
    try .concatenated(prefixTensors.map { try $0.value(adaptation) }, dimension: 1)
  }

  private func pooled(_ tokens: Tensor, _ adaptation: any Adaptation) throws -> Tensor {
    let count = tokens.shape[1]
    func normalized(_ features: Tensor) throws -> Tensor { try pooledNorm?(features, adaptation) ?? features }
    switch configuration.pooling {
    case .classToken: return try normalized(tokens.select(1, 0))
    case .meanPatch: return try normalized(tokens.narrowed(1, prefixCount..<count).mean(1))
    case .classAndMeanPatch:
      return try .concatenated(
        [normalized(tokens.select(1, 0)), normalized(tokens.narrowed(1, prefixCount..<count).mean(1))], dimension: 1)
    }
  }
}

public enum BackboneError: Error, Equatable, CustomStringConvertible {
  case site(String)
  case input([Int], patchSize: Int)

  public var description: String {
    switch self {
    case .site(let name): "'\(name)' is no site of this backbone. Use one of its `sites`."
    case .input(let shape, let patchSize):
      """
      Images of shape \(shape) do not fit: [batch, 3, height, width] is wanted, with sides that are multiples of the patch \
      size \(patchSize).
      """
    }
  }
}
