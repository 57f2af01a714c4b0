import Foundation
import Testing

@testable import NeuralNetworks

@Suite struct ModuleNamesTests {
  func names(_ library: String, _ prefix: String = "") throws -> ModuleNames {
    try #require(ModuleNames(library: library, prefix: prefix))
  }

  @Test func `every library has its own words for a map, a part of one, a LayerNorm and the classifier`() throws {
    let places = [
      "blocks.3.attn.qkv", "blocks.3.attn.qkv.value", "blocks.3.attn.proj", "blocks.3.norm2", "norm", "head",
    ]
    func spelled(_ library: String, _ prefix: String = "") throws -> [String?] {
      let names = try names(library, prefix)
      return places.map { names.module(at: $0) }
    }
    #expect(
      try spelled("timm") == ["blocks.3.attn.qkv", nil, "blocks.3.attn.proj", "blocks.3.norm2", "norm", "head"])
    #expect(
      try spelled("ViT of transformers 5", "vit.") == [
        nil, "vit.layers.3.attention.v_proj", "vit.layers.3.attention.o_proj", "vit.layers.3.layernorm_after",
        "vit.layernorm", "classifier",
      ])
    #expect(
      try spelled("ViT of transformers 4", "deit.") == [
        nil, "deit.encoder.layer.3.attention.attention.value", "deit.encoder.layer.3.attention.output.dense",
        "deit.encoder.layer.3.layernorm_after", "deit.layernorm", "classifier",
      ])
    #expect(
      try spelled("DINOv2 of transformers 5") == [
        nil, "encoder.layer.3.attention.v_proj", "encoder.layer.3.attention.o_proj", "encoder.layer.3.norm2",
        "layernorm", "classifier",
      ])
    #expect(
      try spelled("CLIP of transformers", "vision_model.") == [
        nil, "vision_model.encoder.layers.3.self_attn.v_proj", "vision_model.encoder.layers.3.self_attn.out_proj",
        "vision_model.encoder.layers.3.layer_norm2", "vision_model.post_layernorm", nil,
      ])
    #expect(
      try spelled("open_clip", "visual.") == [
        "visual.transformer.resblocks.3.attn", nil, "visual.transformer.resblocks.3.attn.out_proj",
        "visual.transformer.resblocks.3.ln_2", "visual.ln_post", nil,
      ])
  }

  @Test func `text encoders have words of their own, and BERT alone a classifier of one layer`() throws {
    let places = ["blocks.3.attn.qkv.value", "blocks.3.attn.proj", "blocks.3.norm1", "embeddings.norm", "head"]
    func spelled(_ library: String, _ prefix: String) throws -> [String?] {
      let names = try names(library, prefix)
      return places.map { names.module(at: $0) }
    }
    #expect(
      try spelled("BERT of transformers", "bert.") == [
        "bert.encoder.layer.3.attention.self.value", "bert.encoder.layer.3.attention.output.dense",
        "bert.encoder.layer.3.attention.output.LayerNorm", "bert.embeddings.LayerNorm", "classifier",
      ])
    #expect(
      try spelled("RoBERTa of transformers", "roberta.") == [
        "roberta.encoder.layer.3.attention.self.value", "roberta.encoder.layer.3.attention.output.dense",
        "roberta.encoder.layer.3.attention.output.LayerNorm", "roberta.embeddings.LayerNorm", nil,
      ])
    #expect(
      try spelled("DistilBERT of transformers", "") == [
        "transformer.layer.3.attention.v_lin", "transformer.layer.3.attention.out_lin",
        "transformer.layer.3.sa_layer_norm", "embeddings.LayerNorm", nil,
      ])
    let two = "a classifier of two layers; features are what the first of them reads"
    #expect(try names("RoBERTa of transformers", "roberta.").place(of: "classifier.out_proj") == .aside(two))
    #expect(try names("DistilBERT of transformers", "distilbert.").place(of: "classifier") == .aside(two))
    #expect(try names("BERT of transformers", "bert.").place(of: "classifier") == .head)
  }

  @Test(arguments: [
    ("bert", "BERT of transformers", "", "bert."), ("bert-classifier", "BERT of transformers", "bert.", "bert."),
    ("minilm", "BERT of transformers", "", ""), ("roberta", "RoBERTa of transformers", "", ""),
    ("roberta-masked", "RoBERTa of transformers", "roberta.", "roberta."),
    ("distilbert", "DistilBERT of transformers", "", ""),
  ])
  func `a text encoder has the names of its file, with a prefix where its classifier is PEFT's`(
    _ fixture: String, _ library: String, _ prefix: String, _ withClassifier: String
  ) throws {
    let backbone = try TextTransformer(from: Fixture(name: "text/\(fixture)").url)
    let own = ModuleNames.ofFile(backbone)
    #expect(own.library == library && own.prefix == prefix)
    #expect(ModuleNames.current(backbone).prefix == prefix)
    #expect(ModuleNames.current(backbone, withClassifier: true).prefix == withClassifier)
    #expect(ModuleNames.known.filter { $0.fits(backbone) }.allSatisfy { $0.library == library })
  }

  @Test func `every module is found again under its name`() throws {
    for names in ModuleNames.known {
      for part in ["attn.qkv", "attn.qkv.query", "attn.qkv.key", "attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2"] {
        guard let module = names.module(at: "blocks.11.\(part)") else { continue }
        #expect(names.place(of: module) == .module("blocks.11.\(part)"), "\(names): \(module)")
      }
      #expect(names.modules(at: "blocks.0.attn.qkv").count == (["timm", "open_clip"].contains(names.library) ? 1 : 3))
      #expect(names.place(of: "nothing.of.the.kind") == nil)
    }
  }

  @Test func `what is beside the image tower is told apart`() throws {
    #expect(try names("open_clip", "visual.").place(of: "transformer.resblocks.0.attn") == .aside("the text tower"))
    #expect(try names("open_clip").place(of: "transformer.resblocks.0.attn") == .module("blocks.0.attn.qkv"))
    #expect(try names("ViT of transformers 5", "vit.").place(of: "classifier") == .head)
    #expect(
      try names("CLIP of transformers", "vision_model.").place(of: "text_model.final_layer_norm")
        == .aside("the text tower"))
  }

  @Test func `each spelling can be asked for by what describes it`() {
    #expect(Set(ModuleNames.known.map { "\($0.library) \($0.prefix)" }).count == ModuleNames.known.count)
    #expect(ModuleNames(library: "timm", prefix: "vit.") == nil)
  }

  @Test(arguments: [
    ("timm-vit", "timm", "", "timm"), ("hf-vit", "ViT of transformers 4", "vit.", "ViT of transformers 5"),
    ("hf-vit-names5", "ViT of transformers 5", "vit.", "ViT of transformers 5"),
    ("hf-vit-base", "ViT of transformers 4", "", "ViT of transformers 5"),
    ("hf-dinov2", "DINOv2 of transformers 4", "", "DINOv2 of transformers 5"),
    ("hf-clip", "CLIP of transformers", "vision_model.", "CLIP of transformers"),
    ("open-clip", "open_clip", "visual.", "open_clip"),
  ])
  func `a backbone has the names of its file, and those of its library today`(
    _ fixture: String, _ library: String, _ prefix: String, _ today: String
  ) throws {
    let backbone = try VisionTransformer(from: Fixture.folder.appendingPathComponent(fixture))
    let own = ModuleNames.ofFile(backbone)
    #expect(own.library == library && own.prefix == prefix)
    let current = ModuleNames.current(backbone)
    #expect(current.library == today && current.prefix == prefix)
    let expected = ["hf-vit-base": "vit.", "hf-dinov2": "dinov2."][fixture] ?? prefix
    #expect(ModuleNames.current(backbone, withClassifier: true).prefix == expected)
  }
}
