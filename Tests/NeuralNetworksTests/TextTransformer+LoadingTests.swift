import Formats
import Foundation
import Tensors
import Testing

@testable import NeuralNetworks

@Suite struct TextTransformerLoadingTests {
  typealias Pooling = TextTransformerConfiguration.Pooling

  @Test func `what a folder holds is known`() throws {
    let bert = try TextTransformer(from: Fixture(name: "text/bert-classifier").url)
    let expected = TextTransformerConfiguration(
      family: .bert, vocabulary: 40, positions: 12, types: 2, width: 24, depth: 2, heads: 4, hidden: 36,
      layerNormEpsilon: 1e-12, activation: .gelu, paddingToken: 0, pooling: .pooler)
    #expect(bert.configuration == expected)
    #expect(bert.tensors.allSatisfy { $0.tensor.dtype == .float32 }, "stored in half precision")
    #expect(bert.report.used == 41 && bert.report.ignored == [])
    #expect(bert.report.assumptions == ["features from the pooler"])
    #expect(bert.classifier?.weight.shape == [5, 24])
    let roberta = try TextTransformer(from: Fixture(name: "text/roberta-classifier").url)
    #expect(roberta.configuration.family == .roberta && roberta.configuration.layerNormEpsilon == 1e-5)
    #expect(roberta.paddingToken == 1 && roberta.configuration.types == 1)
    #expect(roberta.report.assumptions == ["features from the class token"])
    let distilled = try TextTransformer(from: Fixture(name: "text/distilbert").url)
    #expect(distilled.configuration.activation == .relu && distilled.configuration.types == 0)
    #expect(distilled.parameterCount == distilled.tensors.reduce(0) { $0 + $1.tensor.count })
  }

  @Test func `sentence-transformers' pooling is taken, and what it does to the features afterwards is said`() throws {
    let url = Fixture(name: "text/minilm").url
    let model = try TextTransformer(from: url)
    #expect(model.configuration.pooling == .mean && model.configuration.heads == 12)
    #expect(model.report.assumptions == ["features keep their length, which sentence-transformers makes 1"])
    #expect(
      model.report.ignored.map(\.name) == ["embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight"])
    #expect(!model.tensors.contains { $0.name.hasPrefix("pooler") })
    let chosen = try TextTransformer(from: url, pooling: .pooler)
    #expect(chosen.configuration.pooling == .pooler && chosen.report.assumptions == [])
    #expect(chosen.tensors.contains { $0.name == "pooler.weight" })
  }

  @Test func `heads of the pretraining and of other tasks are left aside, each with its reason`() throws {
    func reasons(_ name: String) throws -> [String: String] {
      let model = try TextTransformer(from: Fixture(name: "text/\(name)").url)
      return Dictionary(uniqueKeysWithValues: model.report.ignored.map { ($0.name, $0.reason) })
    }
    let bert = try reasons("bert-pretraining")
    #expect(bert.count == 8)
    #expect(bert["cls.predictions.transform.LayerNorm.gamma"] == "the language model's head, used only in pretraining")
    #expect(bert["cls.seq_relationship.bias"] == "next-sentence prediction, used only in pretraining")
    #expect(bert["bert.embeddings.position_ids"] == "a counter, not a weight")
    #expect(try Set(reasons("roberta-masked").keys).isSuperset(of: ["lm_head.bias", "lm_head.layer_norm.weight"]))
    let two = "a classifier of two layers; features are what the first of them reads"
    #expect(
      try reasons("roberta-classifier")
        == Dictionary(
          uniqueKeysWithValues: ["dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias"].map {
            ("classifier.\($0)", two)
          }))
    #expect(try reasons("distilbert-classifier")["pre_classifier.weight"] == two)
    #expect(try reasons("distilbert-masked").count == 5)
  }

  @Test(arguments: [
    ("text/bert", "TextTransformer"), ("text/distilbert-masked", "TextTransformer"), ("hf-vit", "VisionTransformer"),
    ("timm-vit", "VisionTransformer"),
  ])
  func `a folder is opened as what it holds`(_ fixture: String, _ type: String) throws {
    let backbone = try pretrainedBackbone(from: Fixture(name: fixture).url)
    #expect("\(Swift.type(of: backbone))" == type)
  }

  @Test func `a network of the other kind is refused by name`() throws {
    let (text, image) = (Fixture(name: "text/bert").url, Fixture(name: "hf-vit").url)
    #expect(
      try thrown(LoadError.self) { _ = try VisionTransformer(from: text) }.description
        == "The weights in \(text.path) are those of BERT, and a vision transformer was asked for. "
        + "Open them as a TextTransformer.")
    #expect(
      try thrown(LoadError.self) { _ = try TextTransformer(from: image) }.description
        == "The weights in \(image.path) are those of Hugging Face ViT, and a text encoder was asked for. "
        + "Open them as a VisionTransformer.")
    var neither = try Checkpoint("text/bert")
    neither.tensors = ["gpt.wte.weight": try .ones([2])]
    #expect(
      try neither.refusal { _ = try pretrainedBackbone(from: $0) }
        == "The tensors in FOLDER are named like no transformer known here (timm, Hugging Face ViT, DeiT, DINOv2, CLIP, "
        + "OpenCLIP; BERT, RoBERTa, DistilBERT). The first are: gpt.wte.weight.")
  }

  /// What loading a damaged folder says.
  private func refusal(
    _ fixture: String = "bert", pooling: Pooling? = nil, _ damage: (inout Checkpoint) throws -> Void
  ) throws -> String {
    var checkpoint = try Checkpoint("text/\(fixture)")
    try damage(&checkpoint)
    return try checkpoint.refusal { _ = try TextTransformer(from: $0, pooling: pooling) }
  }

  @Test func `without a configuration nothing says how many heads there are`() throws {
    #expect(
      try refusal { $0.files["config.json"] = nil }
        == "FOLDER/config.json: it is not there, and nothing else says how many attention heads the weights beside it have."
    )
    #expect(
      try refusal { try $0.configure("num_attention_heads", nil) }
        == "FOLDER/config.json: num_attention_heads is missing.")
    #expect(try refusal("distilbert") { try $0.configure("n_heads", nil) }.hasSuffix("n_heads is missing."))
  }

  @Test(arguments: [
    ("num_attention_heads", JSONValue.integer(5), "5 heads do not divide the width 24."),
    ("num_attention_heads", 0, "0 heads do not divide the width 24."),
    ("num_attention_heads", "four", #"num_attention_heads is "four", no whole number from 0."#),
    ("num_attention_heads", -4, "num_attention_heads is -4, no whole number from 0."),
    ("hidden_size", 48, "it says width 48, the tensors say 24."),
    ("num_hidden_layers", 3, "it says depth 3, the tensors say 2."),
    ("intermediate_size", 96, "it says hidden width 96, the tensors say 36."),
    ("vocab_size", 41, "it says vocabulary 41, the tensors say 40."),
    ("max_position_embeddings", 512, "it says number of positions 512, the tensors say 12."),
    ("type_vocab_size", 1, "it says number of token types 1, the tensors say 2."),
    ("hidden_act", "silu", "the activation 'silu' is none of gelu, quick_gelu, gelu_new, gelu_pytorch_tanh, relu."),
    ("layer_norm_eps", "tiny", #"layer_norm_eps is "tiny", no number between 0 and 1."#),
    (
      "position_embedding_type", "relative_key",
      #"position_embedding_type is "relative_key"; only absolute positions are supported."#
    ),
    ("is_decoder", true, "is_decoder is true; only encoders are supported."),
    ("pad_token_id", 40, "the padding token 40 does not fit a vocabulary of 40 and 12 positions."),
    (
      "model_type", "gpt2",
      #"its model_type is "gpt2", none of bert, camembert, distilbert, roberta, xlm-roberta."#
    ),
    ("model_type", nil, "its model_type is missing, none of bert, camembert, distilbert, roberta, xlm-roberta."),
  ])
  func `a configuration that cannot be, or that says otherwise than the tensors, is refused`(
    _ key: String, _ value: JSONValue?, _ problem: String
  ) throws {
    #expect(try refusal { try $0.configure(key, value) } == "FOLDER/config.json: \(problem)")
  }

  @Test func `a configuration of another family than the tensors' names is refused`() throws {
    #expect(
      try refusal("roberta-masked") { try $0.configure("model_type", "bert") }
        == "FOLDER/config.json: it describes BERT, the tensors are RoBERTa's.")
    #expect(
      try refusal("roberta-masked") { checkpoint in
        try checkpoint.configure("model_type", "distilbert")
        try checkpoint.configure("n_heads", 4)
      } == "FOLDER/config.json: it describes DistilBERT, the tensors are RoBERTa's.")
  }

  @Test func `what a configuration leaves out is taken to be as usual, and said`() throws {
    var checkpoint = try Checkpoint("text/roberta")
    for key in ["hidden_act", "layer_norm_eps", "pad_token_id", "vocab_size"] { try checkpoint.configure(key, nil) }
    let model = try checkpoint.loadText()
    #expect(model.paddingToken == 1)
    #expect(
      model.report.assumptions
        == ["features from the pooler", "LayerNorm ε 1e-12", "the activation gelu", "the padding token 1"])
  }

  @Test func `missing tensors, unknown ones and wrong shapes are named`() throws {
    #expect(
      try refusal { $0.tensors["encoder.layer.1.output.dense.bias"] = nil }
        == "The weights in FOLDER do not make the network. Missing (1): blocks.1.mlp.fc2.bias.")
    #expect(
      try refusal { $0.tensors["encoder.layer.1.attention.self.key.weight"] = nil }
        == "The weights in FOLDER do not make the network. Missing (1): the rest of blocks.1.attn.qkv.weight beside "
        + "encoder.layer.1.attention.self.query.weight, encoder.layer.1.attention.self.value.weight.")
    #expect(
      try refusal { $0.tensors["embeddings.token_type_embeddings.weight"] = nil }
        == "The weights in FOLDER do not make the network. Missing (1): embeddings.type.weight.")
    #expect(
      try refusal { $0.tensors["encoder.layer.0.adapter.weight"] = try .ones([2]) }
        == "The weights in FOLDER do not make the network. Not part of it (1): encoder.layer.0.adapter.weight.")
    #expect(
      try refusal { $0.tensors["encoder.layer.1.output.LayerNorm.weight"] = try .ones([25]) }
        == "'blocks.1.norm2.weight' has shape [25]; the rest of the network makes it [24].")
    #expect(
      try refusal { $0.tensors["embeddings.LayerNorm.gamma"] = try .ones([24]) }
        == "'embeddings.norm.weight' is there more than once, as embeddings.LayerNorm.gamma and "
        + "embeddings.LayerNorm.weight.")
    #expect(
      try refusal("bert-classifier") { $0.tensors["classifier.weight"] = try .ones([5, 48]) }
        == "'head.weight' has shape [5, 48]; the rest of the network makes it [5, 24].")
    #expect(
      try refusal { $0.tensors["embeddings.word_embeddings.weight"] = try .ones([40, 24]).to(.int8) }
        == "'embeddings.word_embeddings.weight' holds int8 numbers. Quantized weights cannot be read.")
  }

  @Test func `a pooler that is not there cannot be chosen`() throws {
    #expect(
      try refusal("distilbert", pooling: .pooler) { _ in }
        == "The weights in FOLDER have no pooler. Choose another pooling: classToken or mean.")
  }

  @Test func `poolings and modules of sentence-transformers that are not known are refused, unless one is chosen`()
    throws
  {
    let pooling: JSONValue = ["pooling_mode_cls_token": false, "pooling_mode_max_tokens": true]
    #expect(
      try refusal { $0.files["1_Pooling/config.json"] = pooling }
        == "FOLDER/1_Pooling/config.json: it pools by max_tokens; mean_tokens or cls_token is supported. Choose the pooling "
        + "yourself.")
    let modules: JSONValue = [["type": "sentence_transformers.models.Dense", "path": "2_Dense"]]
    #expect(
      try refusal { $0.files["modules.json"] = modules }
        == "FOLDER/modules.json: a module 'Dense' follows the network, which is not supported.")
    var checkpoint = try Checkpoint("text/bert")
    checkpoint.files["1_Pooling/config.json"] = pooling
    #expect(try checkpoint.loadText(pooling: .mean).configuration.pooling == .mean)
    checkpoint.files["1_Pooling/config.json"] = ["pooling_mode_cls_token": true]
    #expect(try checkpoint.loadText().configuration.pooling == .classToken)
  }
}
