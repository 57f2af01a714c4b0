import Tensors

/// A text encoder: BERT, RoBERTa, DistilBERT and what is shaped like them, as MiniLM, as one network.
///
/// Devlin et al. 2019, "BERT", arXiv:1810.04805: tokens, positions and token types are embedded, added and normalized, then
/// run through post-norm blocks `x ← LN(x + attn(x))`, `x ← LN(x + mlp(x))`. RoBERTa (Liu et al. 2019, arXiv:1907.11692) counts
/// positions from behind its padding token; DistilBERT (Sanh et al. 2019, arXiv:1910.01108) has no token types.
///
/// The input is int64, `[batch, 3, length]`: token ids, token types, and the attention mask, 1 for a token and 0 for padding.
/// `input(ids:types:paddingToken:length:)` makes it. Dropout of the pretraining is not part of the network: a frozen
/// backbone has none.
///
/// Sites: `blocks.N.attn.qkv`, `.attn.proj`, `.mlp.fc1`, `.mlp.fc2`. Queries, keys and values are one map `[q; k; v]`
/// whatever the file held.
public final class TextTransformer: Backbone {
  public let configuration: TextTransformerConfiguration
  public let sites: [Site]
  public let branches: [Branch]
  public let layerNorms: [String]
  public let stem: String? = nil
  public let tensors: [(name: String, tensor: Tensor)]
  public let device: Device
  public let fingerprint: String
  /// What was found in the file and what was left unused, and why.
  public let report: LoadReport
  /// A pretrained classifier over the pooler's output, `[classes, width]` and `[classes]`, where the file holds one. It is not
  /// part of the features.
  public let classifier: (weight: Tensor, bias: Tensor?)?
  private let sources: [String: [String]]

  private let word, position: NamedTensor
  private let type: NamedTensor?
  private let norm: Norm
  private let blocks: [TransformerBlock]
  private let pooler: (weight: NamedTensor, bias: NamedTensor)?

  /// Builds the network from tensors under their canonical names; whoever read the file has checked that none is missing.
  init(
    _ configuration: TextTransformerConfiguration, weights: CanonicalWeights, device: Device, fingerprint: String,
    classifier: (weight: Tensor, bias: Tensor?)?, report: LoadReport
  ) throws {
    let weights = try weights.moved(to: device)
    self.configuration = configuration
    self.device = device
    self.fingerprint = fingerprint
    self.report = report
    self.classifier = try classifier.map { (try $0.weight.to(device), try $0.bias?.to(device)) }
    sources = weights.sources
    tensors = weights.ordered
    word = try weights.named("embeddings.word.weight")
    position = try weights.named("embeddings.position.weight")
    type = weights.optional("embeddings.type.weight")
    norm = try Norm("embeddings.norm", of: weights, epsilon: configuration.layerNormEpsilon)
    blocks = try (0..<configuration.depth).map { index in
      try TransformerBlock(
        index, of: weights, width: configuration.width, heads: configuration.heads,
        epsilon: configuration.layerNormEpsilon, activation: configuration.activation)
    }
    pooler =
      configuration.pooling == .pooler ? (try weights.named("pooler.weight"), try weights.named("pooler.bias")) : nil
    sites = blocks.sites
    branches = blocks.branches
    layerNorms = ["embeddings.norm"] + blocks.layerNorms
  }

  public var featureWidth: Int { configuration.width }
  /// How many tokens a text may have.
  public var maximumLength: Int { configuration.maximumLength }
  /// The token that fills short texts up.
  public var paddingToken: Int { configuration.paddingToken }

  public func linear(at site: Site) throws -> Linear { try blocks.linear(at: site) }

  public func modules(at site: Site) -> [String] { CanonicalWeights.modules(at: site, from: sources) }

  /// `[batch, 3, length]` to `[batch, width]`.
  ///
  /// - Throws: `TextInputError` for an input that the network cannot read.
  public func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    let input = try TextInput(input, for: configuration)
    return try pooled(tokens(input, adaptation, pass), input, adaptation)
  }

  /// `[batch, 3, length]` to the states of all tokens after the last block, `[batch, length, width]`. Those of padding mean
  /// nothing.
  ///
  /// - Throws: `TextInputError` for an input that the network cannot read.
  public func tokens(_ input: Tensor, adaptation: any Adaptation = Frozen(), pass: ForwardPass = ForwardPass()) throws
    -> Tensor
  {
    try tokens(TextInput(input, for: configuration), adaptation, pass)
  }

  private func tokens(_ input: TextInput, _ adaptation: any Adaptation, _ pass: ForwardPass) throws -> Tensor {
    var x = try embedded(input, adaptation)
    var mask: Tensor?
    for (index, block) in blocks.enumerated() {
      let count = x.shape[1]
      x = try adaptation.sequence(x, entering: index, prefix: 1, pass: pass)
      if index == 0 || x.shape[1] != count { mask = try input.keyMask(tokens: x.shape[1], prefix: 1, on: device) }
      x = try block.normalizingAfter(x, mask: mask, adaptation, pass)
    }
    return try adaptation.sequence(x, entering: nil, prefix: 1, pass: pass)
  }

  private func embedded(_ input: TextInput, _ adaptation: any Adaptation) throws -> Tensor {
    let words = try word.value(adaptation).embedding(input.ids(on: device))
    let table = try position.value(adaptation)
    let first = configuration.firstPosition
    var places =
      try input.positions.map { try table.embedding($0.to(device)) }
      ?? table.narrowed(0, first..<first + input.length)
    if let type {
      let types = try type.value(adaptation)
      // Where all tokens are of one type its row is added once for all of them.
      places = try places + (input.types.map { try types.embedding($0.to(device)) } ?? types.narrowed(0, 0..<1))
    }
    return try norm(words + places, adaptation)
  }

  private func pooled(_ tokens: Tensor, _ input: TextInput, _ adaptation: any Adaptation) throws -> Tensor {
    switch configuration.pooling {
    case .classToken: return try tokens.select(1, 0)
    case .mean:
      guard let shares = try input.shares(on: device) else { return try tokens.mean(1) }
      return try shares.to(tokens.dtype).matmul(tokens).select(1, 0)
    case .pooler:
      let first = try tokens.select(1, 0)
      guard let pooler else { return first }
      return try first.linear(pooler.weight.value(adaptation), pooler.bias.value(adaptation)).tanh()
    }
  }
}
