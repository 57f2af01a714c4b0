import Tensors

/// A vision transformer without its weights: the sites, and every tensor in its shape. Methods can be set up on it and their
/// parameters counted before a network is there; it computes nothing.
///
/// The tensors are one zero seen many times, so it takes no memory.
public struct ShapesOnly: Backbone {
  public let sites: [Site]
  public let branches: [Branch]
  public let layerNorms: [String]
  public let stem: String? = "patch_embed"
  public let tensors: [(name: String, tensor: Tensor)]
  public let device = Device.cpu
  public let featureWidth: Int
  public let fingerprint = "shapes only"

  /// A class token in front, one fused map for queries, keys and values, biases everywhere.
  public init(_ configuration: VisionTransformerConfiguration) throws {
    let zero = try Tensor.zeros([1])
    let (width, hidden, patch) = (configuration.width, configuration.hidden, configuration.patchSize)
    var tensors: [(name: String, tensor: Tensor)] = []
    func add(_ name: String, _ shape: Int...) throws {
      tensors.append((name, try zero.reshaped(shape.map { _ in 1 }).expanded(shape)))
    }
    func addAffine(_ name: String, _ shape: Int...) throws {
      tensors.append(("\(name).weight", try zero.reshaped(shape.map { _ in 1 }).expanded(shape)))
      try add("\(name).bias", shape[0])
    }
    try add("cls_token", 1, 1, width)
    try add("pos_embed", 1, configuration.grid * configuration.grid + 1, width)
    try addAffine("patch_embed", width, 3, patch, patch)
    var sites: [Site] = []
    for block in 0..<configuration.depth {
      try addAffine("blocks.\(block).norm1", width)
      try addAffine("blocks.\(block).norm2", width)
      let maps: [(String, Site.Role, Int, Int)] = [
        ("attn.qkv", .qkv, width, 3 * width), ("attn.proj", .proj, width, width), ("mlp.fc1", .fc1, width, hidden),
        ("mlp.fc2", .fc2, hidden, width),
      ]
      for (name, role, inFeatures, outFeatures) in maps {
        let name = "blocks.\(block).\(name)"
        sites.append(Site(name: name, block: block, role: role, inFeatures: inFeatures, outFeatures: outFeatures))
        try addAffine(name, outFeatures, inFeatures)
      }
    }
    try addAffine("norm", width)
    self.sites = sites
    self.tensors = tensors
    branches = (0..<configuration.depth).flatMap { block in
      [
        Branch(name: "blocks.\(block).attn", block: block, kind: .attention, width: width),
        Branch(name: "blocks.\(block).mlp", block: block, kind: .mlp, width: width),
      ]
    }
    layerNorms =
      (0..<configuration.depth).flatMap { ["blocks.\($0).norm1", "blocks.\($0).norm2"] } + ["norm"]
    featureWidth = width
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
    "This backbone has shapes and no weights, so it computes nothing. Load a VisionTransformer."
  }
}
