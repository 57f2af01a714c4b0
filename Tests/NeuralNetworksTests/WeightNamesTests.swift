import Testing

@testable import NeuralNetworks

@Suite struct WeightNamesTests {
  private func text(_ place: WeightNames.Place?) -> String {
    switch place {
    case .tensor(let name): name
    case .part(let name, let part): "\(name)[\(part)]"
    case .transposed(let name): "\(name)ᵀ"
    case .ignored(let reason): "- \(reason)"
    case nil: "?"
    }
  }

  @Test(arguments: [
    ("patch_embed.proj.bias", "patch_embed.bias"), ("register_tokens", "reg_token"),
    ("blocks.11.attn.qkv.weight", "blocks.11.attn.qkv.weight"), ("blocks.0.ls2.gamma", "blocks.0.ls2.gamma"),
    ("mask_token", "- used only in pretraining"), ("blocks.0.attn.q_norm.weight", "?"), ("blocks.0", "?"),
    ("blocks.", "?"), ("blocks.-1.norm1.weight", "?"), ("blocks..norm1.weight", "?"),
    ("blocks.99999999999999999999.norm1.weight", "?"), ("", "?"),
  ])
  func `timm's names`(_ theirs: String, ours: String) {
    #expect(text(WeightNames.timm.place(of: theirs, prefix: "")) == ours)
  }

  @Test(arguments: [
    ("vit.encoder.layer.3.attention.attention.value.bias", "blocks.3.attn.qkv.bias[2]"),
    ("vit.encoder.layer.3.intermediate.dense.weight", "blocks.3.mlp.fc1.weight"),
    ("vit.layernorm.weight", "norm.weight"), ("classifier.weight", "head.weight"),
    ("vit.pooler.dense.bias", "- the pooler's tanh layer; features are the class token before it"),
    ("encoder.layer.3.intermediate.dense.weight", "?"), ("deit.layernorm.weight", "?"),
  ])
  func `transformers' names behind a prefix`(_ theirs: String, ours: String) {
    #expect(text(WeightNames.huggingFaceViT.place(of: theirs, prefix: "vit.")) == ours)
  }

  @Test(arguments: [
    ("vision_model.encoder.layers.2.self_attn.k_proj.weight", "blocks.2.attn.qkv.weight[1]"),
    ("vision_model.pre_layrnorm.weight", "norm_pre.weight"), ("visual_projection.weight", "projection.weight"),
    ("text_model.encoder.layers.2.self_attn.k_proj.weight", "- the text tower"),
    ("text_projection.weight", "- the text tower"), ("logit_scale", "- the contrastive loss"),
    ("pre_layrnorm.weight", "?"),
  ])
  func `CLIP's names, the text tower aside`(_ theirs: String, ours: String) {
    #expect(text(WeightNames.clip.place(of: theirs, prefix: "vision_model.")) == ours)
  }

  @Test(arguments: [
    ("visual.transformer.resblocks.1.attn.in_proj_weight", "blocks.1.attn.qkv.weight"),
    ("visual.positional_embedding", "pos_embed"), ("visual.proj", "projection.weightᵀ"),
    ("transformer.resblocks.1.attn.in_proj_weight", "- the text tower"),
    ("positional_embedding", "- the text tower"), ("proj", "?"), ("visual.attn_pool.query", "?"),
  ])
  func `OpenCLIP's names, whose text tower has the same ones without prefix`(_ theirs: String, ours: String) {
    #expect(text(WeightNames.openCLIP.place(of: theirs, prefix: "visual.")) == ours)
  }

  @Test(arguments: [
    ("bert.encoder.layer.3.attention.self.key.bias", "blocks.3.attn.qkv.bias[1]"),
    ("bert.encoder.layer.3.attention.output.LayerNorm.gamma", "blocks.3.norm1.weight"),
    ("bert.encoder.layer.3.output.LayerNorm.beta", "blocks.3.norm2.bias"),
    ("bert.embeddings.LayerNorm.weight", "embeddings.norm.weight"), ("bert.pooler.dense.bias", "pooler.bias"),
    ("bert.embeddings.token_type_embeddings.weight", "embeddings.type.weight"), ("classifier.bias", "head.bias"),
    ("cls.predictions.decoder.weight", "- the language model's head, used only in pretraining"),
    ("cls.predictions.other.weight", "?"), ("roberta.encoder.layer.3.output.dense.weight", "?"),
  ])
  func `BERT's names, old and new`(_ theirs: String, ours: String) {
    #expect(text(WeightNames.bert.place(of: theirs, prefix: "bert.")) == ours)
  }

  @Test func `no family's names are another's`() {
    #expect(Set(WeightNames.all.map(\.marker)).count == WeightNames.all.count)
  }
}
