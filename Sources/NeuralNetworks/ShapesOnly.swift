import Tensors

/// A transformer without its weights: the sites, and every tensor in its shape. Methods can be set up on it and their
/// parameters counted before a network is there; it computes nothing.
///
/// The tensors are one zero seen many times, so it takes no memory.
public struct ShapesOnly: Backbone {
  public let sites: [Site]
  public let branches: [Branch]
  public let layerNorms: [String]
  public let stem: String?
  public let tensors: [(name: String, tensor: Tensor)]
  public let device = Device.cpu
  public let featureWidth: Int
  public let fingerprint = "shapes only"

  /// A vision transformer: a class token in front, one fused map for queries, keys and values, biases everywhere.
  public init(_ configuration: VisionTransformerConfiguration) throws {
    let (width, patch) = (configuration.width, configuration.patchSize)
    var tensors = try Shapes()
    try tensors.add("cls_token", [1, 1, width])
    try tensors.add("pos_embed", [1, configuration.grid * configuration.grid + 1, width])
    try tensors.addAffine("patch_embed", [width, 3, patch, patch])
    try self.init(
      tensors, depth: configuration.depth, width: width, hidden: configuration.hidden, lastNorm: "norm",
      stem: "patch_embed")
  }

  /// A text encoder.
  public init(_ configuration: TextTransformerConfiguration) throws {
    let width = configuration.width
    var tensors = try Shapes()
    try tensors.add("embeddings.word.weight", [configuration.vocabulary, width])
    try tensors.add("embeddings.position.weight", [configuration.positions, width])
    if configuration.types > 0 { try tensors.add("embeddings.type.weight", [configuration.types, width]) }
    if configuration.pooling == .pooler { try tensors.addAffine("pooler", [width, width]) }
    try self.init(
      tensors, depth: configuration.depth, width: width, hidden: configuration.hidden, firstNorm: "embeddings.norm")
  }

  private init(
    _ outer: Shapes, depth: Int, width: Int, hidden: Int, firstNorm: String? = nil, lastNorm: String? = nil,
    stem: String? = nil
  ) throws {
    var tensors = outer
    var layerNorms: [String] = []
    func add(norms: [String]) throws {
      for norm in norms { try tensors.addAffine(norm, [width]) }
      layerNorms += norms
    }
    try add(norms: firstNorm.map { [$0] } ?? [])
    let roles: [Site.Role] = [.qkv, .proj, .fc1, .fc2]
    var sites: [Site] = []
    for block in 0..<depth {
      try add(norms: ["blocks.\(block).norm1", "blocks.\(block).norm2"])
      for ((name, shape), role) in zip(CanonicalWeights.maps(width: width, hidden: hidden), roles) {
        let name = "blocks.\(block).\(name)"
        sites.append(Site(name: name, block: block, role: role, inFeatures: shape[1], outFeatures: shape[0]))
        try tensors.addAffine(name, shape)
      }
    }
    try add(norms: lastNorm.map { [$0] } ?? [])
    self.sites = sites
    self.tensors = tensors.all
    self.layerNorms = layerNorms
    self.stem = stem
    branches = (0..<depth).flatMap { block in
      [
        Branch(name: "blocks.\(block).attn", block: block, kind: .attention, width: width),
        Branch(name: "blocks.\(block).mlp", block: block, kind: .mlp, width: width),
      ]
    }
    featureWidth = width
  }

  private struct Shapes {
    private let zero: Tensor
    private(set) var all: [(name: String, tensor: Tensor)] = []

    init() throws { zero = try .zeros([1]) }

    mutating func add(_ name: String, _ shape: [Int]) throws {
      all.append((name, try zero.reshaped(shape.map { _ in 1 }).expanded(shape)))
    }

    /// A weight, and a bias for each of its rows.
    mutating func addAffine(_ name: String, _ shape: [Int]) throws {
      try add("\(name).weight", shape)
      try add("\(name).bias", [shape[0]])
    }
  }

  public func linear(at site: Site) throws -> Linear {
    let name = site.whole?.name ?? site.name
    guard let whole = sites.first(where: { $0.name == name }), whole == site || whole.parts.contains(site),
      let weight = tensors.first(where: { $0.name == "\(name).weight" })?.tensor
    else { throw BackboneError.site(site.name) }
    let bias = tensors.first { $0.name == "\(name).bias" }?.tensor
    let linear = Linear(site: whole, weight: weight, bias: bias)
    return try site.whole.map { try linear.part($0.rows, at: site) } ?? linear
  }

  public func modules(at site: Site) -> [String] { site.whole == nil ? [site.name] : [] }

  /// - Throws: `ShapesOnlyError`, always.
  public func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    throw ShapesOnlyError()
  }
}

/// Features were asked of a network that has no weights.
public struct ShapesOnlyError: Error, Equatable, CustomStringConvertible {
  public var description: String {
    "This backbone has shapes and no weights, so it computes nothing. Load a VisionTransformer or a TextTransformer."
  }
}
