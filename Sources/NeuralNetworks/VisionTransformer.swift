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
  private let blocks: [Block]
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

  struct NamedTensor: Sendable {
    let name: String
    let tensor: Tensor
    func value(_ adaptation: any Adaptation) throws -> Tensor { try adaptation.value(of: name, original: tensor) }
  }

  struct Norm: Sendable {
    let weight, bias: NamedTensor
    let epsilon: Double

    func callAsFunction(_ x: Tensor, _ adaptation: any Adaptation) throws -> Tensor {
      try x.layerNorm(
        width: weight.tensor.count, weight: weight.value(adaptation), bias: bias.value(adaptation), epsilon: epsilon)
    }
  }

  struct Block: Sendable {
    let attention, mlp: Branch
    let norm1, norm2: Norm
    let qkv, proj, fc1, fc2: Linear
    let scale1, scale2: NamedTensor?
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

    func named(_ name: String) throws -> NamedTensor { NamedTensor(name: name, tensor: try weights.tensor(name)) }
    func optional(_ name: String) -> NamedTensor? { weights[name].map { NamedTensor(name: name, tensor: $0) } }
    func norm(_ name: String) throws -> Norm {
      Norm(
        weight: try named("\(name).weight"), bias: try named("\(name).bias"),
        epsilon: configuration.layerNormEpsilon)
    }
    func linear(_ block: Int, _ name: String, _ role: Site.Role) throws -> Linear {
      let name = "blocks.\(block).\(name)"
      let weight = try weights.tensor("\(name).weight")
      let shape = weight.shape
      let site = Site(name: name, block: block, role: role, inFeatures: shape[1], outFeatures: shape[0])
      return Linear(site: site, weight: weight, bias: weights["\(name).bias"])
    }

    let width = configuration.width
    patch = (try weights.tensor("patch_embed.weight"), optional("patch_embed.bias"))
    prefixTensors = ["cls_token", "dist_token", "reg_token"].compactMap(optional)
    prefixCount = prefixTensors.reduce(0) { $0 + $1.tensor.count / width }
    positions = try PositionEmbeddings(
      weights.tensor("pos_embed"), grid: configuration.grid,
      prefix: configuration.positionsCoverPrefix ? prefixCount - (weights["reg_token"]?.shape[1] ?? 0) : 0,
      antialias: configuration.antialiasPositions)
    preNorm = weights["norm_pre.weight"] == nil ? nil : try norm("norm_pre")
    self.norm = weights["norm.weight"] == nil ? nil : try norm("norm")
    pooledNorm = weights["fc_norm.weight"] == nil ? nil : try norm("fc_norm")
    blocks = try (0..<configuration.depth).map { index in
      Block(
        attention: Branch(name: "blocks.\(index).attn", block: index, kind: .attention, width: width),
        mlp: Branch(name: "blocks.\(index).mlp", block: index, kind: .mlp, width: width),
        norm1: try norm("blocks.\(index).norm1"), norm2: try norm("blocks.\(index).norm2"),
        qkv: try linear(index, "attn.qkv", .qkv), proj: try linear(index, "attn.proj", .proj),
        fc1: try linear(index, "mlp.fc1", .fc1), fc2: try linear(index, "mlp.fc2", .fc2),
        scale1: optional("blocks.\(index).ls1.gamma"), scale2: optional("blocks.\(index).ls2.gamma"))
    }
    sites = blocks.flatMap { [$0.qkv.site, $0.proj.site, $0.fc1.site, $0.fc2.site] }
    branches = blocks.flatMap { [$0.attention, $0.mlp] }
    layerNorms =
      (preNorm == nil ? [] : ["norm_pre"])
      + (0..<configuration.depth).flatMap { ["blocks.\($0).norm1", "blocks.\($0).norm2"] }
      + (self.norm == nil ? [] : ["norm"]) + (pooledNorm == nil ? [] : ["fc_norm"])
  }

  public var featureWidth: Int { configuration.width * (configuration.pooling == .classAndMeanPatch ? 2 : 1) }

  public func linear(at site: Site) throws -> Linear {
    guard let index = site.block, blocks.indices.contains(index) else { throw BackboneError.site(site.name) }
    let block = blocks[index]
    let name = site.whole?.name ?? site.name
    guard let linear = [block.qkv, block.proj, block.fc1, block.fc2].first(where: { $0.site.name == name }),
      linear.site == site || linear.site.parts.contains(site)
    else { throw BackboneError.site(site.name) }
    return try site.whole.map { try linear.part($0.rows, at: site) } ?? linear
  }

  /// The modules of the file that make up a site: one, or query, key and value. OpenCLIP's `attn.in_proj_weight` belongs to
  /// the module `attn`.
  public func modules(at site: Site) -> [String] {
    let modules = (sources["\(site.whole?.name ?? site.name).weight"] ?? []).map { name in
      name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
    }
    guard let whole = site.whole else { return modules }
    return modules.count == 3 ? [modules[whole.rows.lowerBound / site.outFeatures]] : []
  }

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
      x = try run(block, x, adaptation, pass)
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

  private func run(_ block: Block, _ x: Tensor, _ adaptation: any Adaptation, _ pass: ForwardPass) throws -> Tensor {
    let attended = try block.norm1(x, adaptation)
    var y = try attention(block, attended, adaptation, pass)
    if let scale = block.scale1 { y = try y * scale.value(adaptation) }
    y = try adaptation.output(of: block.attention, BranchState(input: attended, stream: x, output: y), pass: pass)
    let middle = try x + y
    let widened = try block.norm2(middle, adaptation)
    var z = try adaptation.output(of: block.fc1, input: widened, pass: pass)
    switch configuration.activation {
    case .gelu: z = try z.gelu()
    case .quickGELU: z = try z.quickGELU()
    case .geluTanh: z = try z.geluTanh()
    }
    z = try adaptation.output(of: block.fc2, input: z, pass: pass)
    if let scale = block.scale2 { z = try z * scale.value(adaptation) }
    z = try adaptation.output(of: block.mlp, BranchState(input: widened, stream: middle, output: z), pass: pass)
    return try middle + z
  }

  /// `[batch, tokens, width]` to the same shape.
  private func attention(_ block: Block, _ x: Tensor, _ adaptation: any Adaptation, _ pass: ForwardPass) throws
    -> Tensor
  {
    let shape = x.shape
    let (batch, tokens, width) = (shape[0], shape[1], shape[2])
    let qkv = try adaptation.output(of: block.qkv, input: x, pass: pass)
      .reshaped(batch, tokens, 3, configuration.heads, width / configuration.heads).permuted(2, 0, 3, 1, 4)
    let mixed = try Tensor.attention(query: qkv.select(0, 0), key: qkv.select(0, 1), value: qkv.select(0, 2))
    return try adaptation.output(
      of: block.proj, input: mixed.transposed(1, 2).reshaped(batch, tokens, width), pass: pass)
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
