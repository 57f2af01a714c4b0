/// How one family of files spells the names of a transformer, as a table from its spelling to ours.
struct WeightNames: Sendable {
  let family: Family
  /// What may stand before every name; the first one that leads to `marker` counts.
  let prefixes: [String]
  /// A tensor, without prefix, that only this family has.
  let marker: String
  /// What leads to a block's number, as in `encoder.layer`.
  let blocks: String
  /// Names outside the blocks, after the prefix.
  let outer: [String: Place]
  /// Names inside a block, after its number.
  let inner: [String: Place]
  /// Beginnings of names, before any prefix is taken off, that are no part of the network, and why.
  let aside: [(prefix: String, reason: String)]

  enum Place: Sendable {
    /// The tensor of this name, or of this name within its block.
    case tensor(String)
    /// One of the three parts of `[q; k; v]`.
    case part(String, Int)
    /// Turned: the file holds the transpose.
    case transposed(String)
    case ignored(String)
  }

  enum Family: Hashable, Sendable, CustomStringConvertible {
    case image(VisionTransformerConfiguration.Family)
    case text(TextTransformerConfiguration.Family)

    var description: String {
      switch self {
      case .image(let family): family.rawValue
      case .text(let family): family.rawValue
      }
    }
  }

  static let all: [WeightNames] = [
    timm, huggingFaceViT, huggingFaceViT5, dinov2, clip, openCLIP, bert, roberta, distilBERT,
  ]

  static let timm = WeightNames(
    family: .image(.timm), prefixes: ["", "visual.trunk."], marker: "patch_embed.proj.weight", blocks: "blocks",
    outer: tensors([
      "cls_token": "cls_token", "dist_token": "dist_token", "reg_token": "reg_token", "register_tokens": "reg_token",
      "pos_embed": "pos_embed",
    ])
    .merging(pair("patch_embed.proj", "patch_embed")).merging(pair("norm_pre", "norm_pre"))
    .merging(pair("norm", "norm")).merging(pair("fc_norm", "fc_norm"))
    .merging(pair("head", "head")).merging(pair("head_dist", "head_dist"))
    .merging(["mask_token": .ignored("used only in pretraining")]),
    inner: pair("norm1", "norm1").merging(pair("attn.qkv", "attn.qkv")).merging(pair("attn.proj", "attn.proj"))
      .merging(pair("norm2", "norm2")).merging(pair("mlp.fc1", "mlp.fc1")).merging(pair("mlp.fc2", "mlp.fc2"))
      .merging(tensors(["ls1.gamma": "ls1.gamma", "ls2.gamma": "ls2.gamma"])),
    aside: [])

  private static let huggingFaceOuter: [String: Place] =
    tensors([
      "embeddings.cls_token": "cls_token", "embeddings.distillation_token": "dist_token",
      "embeddings.register_tokens": "reg_token", "embeddings.position_embeddings": "pos_embed",
    ])
    .merging(pair("embeddings.patch_embeddings.projection", "patch_embed")).merging(pair("layernorm", "norm"))
    .merging(["embeddings.mask_token": .ignored("used only in pretraining")])
    .merging(ignoredPair("pooler.dense", "the pooler's tanh layer; features are the class token before it"))

  /// Classifiers stand outside the prefix.
  private static let huggingFaceHeads: [String: Place] =
    pair("classifier", "head").merging(pair("cls_classifier", "head")).merging(
      pair("distillation_classifier", "head_dist"))

  private static let huggingFacePrefixes = ["", "vit.", "deit.", "dinov2.", "dinov2_with_registers."]

  static let huggingFaceViT = WeightNames(
    family: .image(.huggingFace), prefixes: huggingFacePrefixes, marker: "encoder.layer.0.layernorm_before.weight",
    blocks: "encoder.layer", outer: huggingFaceOuter.merging(huggingFaceHeads),
    inner: separate("attention.attention.query", "attention.attention.key", "attention.attention.value")
      .merging(pair("layernorm_before", "norm1")).merging(pair("attention.output.dense", "attn.proj"))
      .merging(pair("layernorm_after", "norm2")).merging(pair("intermediate.dense", "mlp.fc1"))
      .merging(pair("output.dense", "mlp.fc2")),
    aside: [])

  /// The names that transformers 5 has in memory.
  static let huggingFaceViT5 = WeightNames(
    family: .image(.huggingFace), prefixes: huggingFacePrefixes, marker: "layers.0.layernorm_before.weight",
    blocks: "layers",
    outer: huggingFaceOuter.merging(huggingFaceHeads),
    inner: separate("attention.q_proj", "attention.k_proj", "attention.v_proj")
      .merging(pair("layernorm_before", "norm1")).merging(pair("attention.o_proj", "attn.proj"))
      .merging(pair("layernorm_after", "norm2")).merging(pair("mlp.fc1", "mlp.fc1"))
      .merging(pair("mlp.fc2", "mlp.fc2")),
    aside: [])

  static let dinov2 = WeightNames(
    family: .image(.dinov2), prefixes: huggingFacePrefixes, marker: "encoder.layer.0.layer_scale1.lambda1",
    blocks: "encoder.layer", outer: huggingFaceOuter.merging(huggingFaceHeads),
    inner: separate("attention.attention.query", "attention.attention.key", "attention.attention.value")
      .merging(pair("norm1", "norm1")).merging(pair("attention.output.dense", "attn.proj"))
      .merging(pair("norm2", "norm2")).merging(pair("mlp.fc1", "mlp.fc1")).merging(pair("mlp.fc2", "mlp.fc2"))
      .merging(tensors(["layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma"])),
    aside: [])

  static let clip = WeightNames(
    family: .image(.clip), prefixes: ["", "vision_model."], marker: "pre_layrnorm.weight", blocks: "encoder.layers",
    outer: tensors([
      "embeddings.class_embedding": "cls_token", "embeddings.patch_embedding.weight": "patch_embed.weight",
      "embeddings.position_embedding.weight": "pos_embed",
    ])
    .merging(pair("pre_layrnorm", "norm_pre")).merging(pair("post_layernorm", "norm"))
    .merging([
      "embeddings.position_ids": .ignored("a counter, not a weight"),
      "visual_projection.weight": .tensor("projection.weight"),
    ]),
    inner: separate("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
      .merging(pair("layer_norm1", "norm1")).merging(pair("self_attn.out_proj", "attn.proj"))
      .merging(pair("layer_norm2", "norm2")).merging(pair("mlp.fc1", "mlp.fc1")).merging(pair("mlp.fc2", "mlp.fc2")),
    aside: [
      ("text_model.", "the text tower"), ("text_projection.", "the text tower"),
      ("logit_scale", "the contrastive loss"), ("logit_bias", "the contrastive loss"),
    ])

  static let openCLIP = WeightNames(
    family: .image(.openCLIP), prefixes: ["visual.", ""], marker: "transformer.resblocks.0.ln_1.weight",
    blocks: "transformer.resblocks",
    outer: tensors([
      "class_embedding": "cls_token", "conv1.weight": "patch_embed.weight", "positional_embedding": "pos_embed",
    ])
    .merging(pair("ln_pre", "norm_pre")).merging(pair("ln_post", "norm"))
    .merging(["proj": .transposed("projection.weight")]),
    inner: tensors([
      "attn.in_proj_weight": "attn.qkv.weight", "attn.in_proj_bias": "attn.qkv.bias", "ls_1.gamma": "ls1.gamma",
      "ls_2.gamma": "ls2.gamma",
    ])
    .merging(pair("ln_1", "norm1")).merging(pair("attn.out_proj", "attn.proj")).merging(pair("ln_2", "norm2"))
    .merging(pair("mlp.c_fc", "mlp.fc1")).merging(pair("mlp.c_proj", "mlp.fc2")),
    aside: [
      ("transformer.", "the text tower"), ("token_embedding.", "the text tower"),
      ("positional_embedding", "the text tower"), ("ln_final.", "the text tower"),
      ("text_projection", "the text tower"), ("attn_mask", "the text tower"), ("text.", "the text tower"),
      ("logit_scale", "the contrastive loss"), ("logit_bias", "the contrastive loss"),
    ])

  /// Where a name of the file belongs, in full; nil for a name that this family does not have.
  func place(of name: String, prefix: String) -> Place? {
    if prefix.isEmpty || name.hasPrefix(prefix) {
      let rest = String(name.dropFirst(prefix.count))
      if let place = outer[rest] { return place }
      if rest.hasPrefix(blocks + ".") {
        let parts = rest.dropFirst(blocks.count + 1).split(separator: ".", maxSplits: 1)
        if parts.count == 2, let index = Int(parts[0]), index >= 0, let place = inner[String(parts[1])] {
          return place.inBlock(index)
        }
      }
    }
    guard !prefix.isEmpty, let place = outer[name] else { return asidePlace(name) }
    // What a prefixed tower has beside it: its classifier or projection, or another tower of the same names.
    return aside.isEmpty || name.hasPrefix("visual_projection") ? place : asidePlace(name)
  }

  private func asidePlace(_ name: String) -> Place? {
    aside.first { name.hasPrefix($0.prefix) }.map { .ignored($0.reason) }
  }

  static func tensors(_ names: [String: String]) -> [String: Place] { names.mapValues { .tensor($0) } }

  /// A weight and its bias.
  static func pair(_ theirs: String, _ ours: String) -> [String: Place] {
    ["\(theirs).weight": .tensor("\(ours).weight"), "\(theirs).bias": .tensor("\(ours).bias")]
  }

  static func ignoredPair(_ theirs: String, _ reason: String) -> [String: Place] {
    ["\(theirs).weight": .ignored(reason), "\(theirs).bias": .ignored(reason)]
  }

  static func separate(_ names: String...) -> [String: Place] {
    var places: [String: Place] = [:]
    for (index, name) in names.enumerated() {
      places["\(name).weight"] = .part("attn.qkv.weight", index)
      places["\(name).bias"] = .part("attn.qkv.bias", index)
    }
    return places
  }
}

extension WeightNames.Place {
  func inBlock(_ index: Int) -> WeightNames.Place {
    switch self {
    case .tensor(let name): .tensor("blocks.\(index).\(name)")
    case .part(let name, let part): .part("blocks.\(index).\(name)", part)
    case .transposed(let name): .transposed("blocks.\(index).\(name)")
    case .ignored: self
    }
  }
}

extension [String: WeightNames.Place] {
  func merging(_ other: Self) -> Self { merging(other) { first, _ in first } }
}
