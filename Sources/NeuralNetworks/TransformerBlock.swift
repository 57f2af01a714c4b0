import Tensors

/// One block of a transformer: attention and an MLP, each of them a residual branch. Vision transformers normalize what a
/// branch is given, BERT and its kin the sum behind it.
///
/// Maps: `blocks.N.attn.qkv` (queries, keys and values in one, `[q; k; v]`), `.attn.proj`, `.mlp.fc1`, `.mlp.fc2`; LayerNorms
/// `.norm1`, `.norm2`; LayerScale `.ls1.gamma`, `.ls2.gamma` where the weights have it.
struct TransformerBlock: Sendable {
  let attention, mlp: Branch
  let norm1, norm2: Norm
  let qkv, proj, fc1, fc2: Linear
  let scale1, scale2: NamedTensor?
  let heads: Int
  let activation: VisionTransformerConfiguration.Activation

  init(
    _ index: Int, of weights: CanonicalWeights, width: Int, heads: Int, epsilon: Double,
    activation: VisionTransformerConfiguration.Activation
  ) throws {
    let block = "blocks.\(index)"
    func linear(_ name: String, _ role: Site.Role) throws -> Linear {
      let name = "\(block).\(name)"
      let weight = try weights.tensor("\(name).weight")
      let shape = weight.shape
      let site = Site(name: name, block: index, role: role, inFeatures: shape[1], outFeatures: shape[0])
      return Linear(site: site, weight: weight, bias: weights["\(name).bias"])
    }
    attention = Branch(name: "\(block).attn", block: index, kind: .attention, width: width)
    mlp = Branch(name: "\(block).mlp", block: index, kind: .mlp, width: width)
    norm1 = try Norm("\(block).norm1", of: weights, epsilon: epsilon)
    norm2 = try Norm("\(block).norm2", of: weights, epsilon: epsilon)
    qkv = try linear("attn.qkv", .qkv)
    proj = try linear("attn.proj", .proj)
    fc1 = try linear("mlp.fc1", .fc1)
    fc2 = try linear("mlp.fc2", .fc2)
    scale1 = weights.optional("\(block).ls1.gamma")
    scale2 = weights.optional("\(block).ls2.gamma")
    self.heads = heads
    self.activation = activation
  }

  var linears: [Linear] { [qkv, proj, fc1, fc2] }

  /// `x ← x + γ₁·attn(LN₁(x))`, then `x ← x + γ₂·mlp(LN₂(x))`, of `[batch, tokens, width]`.
  func normalizingBefore(_ x: Tensor, _ adaptation: any Adaptation, _ pass: ForwardPass) throws -> Tensor {
    let attended = try norm1(x, adaptation)
    var y = try attention(of: attended, mask: nil, adaptation, pass)
    if let scale1 { y = try y * scale1.value(adaptation) }
    y = try adaptation.output(of: attention, BranchState(input: attended, stream: x, output: y), pass: pass)
    let middle = try x + y
    let widened = try norm2(middle, adaptation)
    var z = try mlp(of: widened, adaptation, pass)
    if let scale2 { z = try z * scale2.value(adaptation) }
    z = try adaptation.output(of: mlp, BranchState(input: widened, stream: middle, output: z), pass: pass)
    return try middle + z
  }

  /// `x ← LN₁(x + attn(x))`, then `x ← LN₂(x + mlp(x))`, of `[batch, tokens, width]`.
  ///
  /// - Parameter mask: what is added to the scores of each key, `[batch, 1, 1, tokens]`.
  func normalizingAfter(_ x: Tensor, mask: Tensor?, _ adaptation: any Adaptation, _ pass: ForwardPass) throws -> Tensor
  {
    func sum(_ stream: Tensor, _ branch: Branch, _ output: Tensor, _ norm: Norm) throws -> Tensor {
      let state = BranchState(input: stream, stream: stream, output: output) { try norm($0, adaptation) }
      return try norm(stream + adaptation.output(of: branch, state, pass: pass), adaptation)
    }
    let middle = try sum(x, attention, attention(of: x, mask: mask, adaptation, pass), norm1)
    return try sum(middle, mlp, mlp(of: middle, adaptation, pass), norm2)
  }

  private func attention(of x: Tensor, mask: Tensor?, _ adaptation: any Adaptation, _ pass: ForwardPass) throws
    -> Tensor
  {
    let shape = x.shape
    let (batch, tokens, width) = (shape[0], shape[1], shape[2])
    let qkv = try adaptation.output(of: qkv, input: x, pass: pass)
      .reshaped(batch, tokens, 3, heads, width / heads).permuted(2, 0, 3, 1, 4)
    let mixed = try Tensor.attention(
      query: qkv.select(0, 0), key: qkv.select(0, 1), value: qkv.select(0, 2), mask: mask)
    return try adaptation.output(of: proj, input: mixed.transposed(1, 2).reshaped(batch, tokens, width), pass: pass)
  }

  private func mlp(of x: Tensor, _ adaptation: any Adaptation, _ pass: ForwardPass) throws -> Tensor {
    let hidden = try activation(adaptation.output(of: fc1, input: x, pass: pass))
    return try adaptation.output(of: fc2, input: hidden, pass: pass)
  }
}

extension [TransformerBlock] {
  var sites: [Site] { flatMap { $0.linears.map(\.site) } }
  var branches: [Branch] { flatMap { [$0.attention, $0.mlp] } }
  var layerNorms: [String] { indices.flatMap { ["blocks.\($0).norm1", "blocks.\($0).norm2"] } }

  /// - Throws: `BackboneError.site` for a site of another network.
  func linear(at site: Site) throws -> Linear {
    let name = site.whole?.name ?? site.name
    guard let index = site.block, indices.contains(index),
      let linear = self[index].linears.first(where: { $0.site.name == name }),
      linear.site == site || linear.site.parts.contains(site)
    else { throw BackboneError.site(site.name) }
    return try site.whole.map { try linear.part($0.rows, at: site) } ?? linear
  }
}

extension VisionTransformerConfiguration.Activation {
  func callAsFunction(_ x: Tensor) throws -> Tensor {
    switch self {
    case .gelu: try x.gelu()
    case .quickGELU: try x.quickGELU()
    case .geluTanh: try x.geluTanh()
    case .relu: try x.relu()
    }
  }

  /// By its name in the `config.json` of transformers.
  init(huggingFace name: String, file: String) throws {
    switch name {
    case "gelu", "gelu_python": self = .gelu
    case "quick_gelu": self = .quickGELU
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_tanh": self = .geluTanh
    case "relu": self = .relu
    default:
      throw LoadError.configuration(
        file: file, problem: "the activation '\(name)' is none of gelu, quick_gelu, gelu_new, gelu_pytorch_tanh, relu.")
    }
  }
}
