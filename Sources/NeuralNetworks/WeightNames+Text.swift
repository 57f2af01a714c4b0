extension WeightNames {
  /// BERT and what is shaped like it, MiniLM among them. Without its prefix RoBERTa's names are the same, and `config.json`
  /// says which of the two it is.
  static let bert = WeightNames(
    family: .text(.bert), prefixes: ["", "bert."], marker: "encoder.layer.0.attention.self.query.weight",
    blocks: "encoder.layer",
    outer: encoderOuter.merging(pair("classifier", "head"))
      .merging(ignored(languageModel, "cls.predictions.bias"))
      .merging(ignored(languageModel, modules: "cls.predictions.transform.dense", "cls.predictions.decoder"))
      .merging(ignoredNorm("cls.predictions.transform.LayerNorm", languageModel))
      .merging(ignored("next-sentence prediction, used only in pretraining", modules: "cls.seq_relationship"))
      .merging(ignored(questionAnswering, modules: "qa_outputs")),
    inner: encoderInner, aside: [])

  static let roberta = WeightNames(
    family: .text(.roberta), prefixes: ["roberta.", ""], marker: "encoder.layer.0.attention.self.key.weight",
    blocks: "encoder.layer",
    outer:
      encoderOuter
      .merging(ignored(twoLayers, modules: "classifier.dense", "classifier.out_proj"))
      .merging(ignored(languageModel, "lm_head.bias"))
      .merging(ignored(languageModel, modules: "lm_head.dense", "lm_head.layer_norm", "lm_head.decoder"))
      .merging(ignored(questionAnswering, modules: "qa_outputs")),
    inner: encoderInner, aside: [])

  static let distilBERT = WeightNames(
    family: .text(.distilBERT), prefixes: ["", "distilbert."], marker: "transformer.layer.0.attention.q_lin.weight",
    blocks: "transformer.layer",
    outer:
      embeddings
      .merging(ignored(twoLayers, modules: "pre_classifier", "classifier"))
      .merging(ignored(languageModel, modules: "vocab_transform", "vocab_layer_norm", "vocab_projector"))
      .merging(ignored(questionAnswering, modules: "qa_outputs")),
    inner: separate("attention.q_lin", "attention.k_lin", "attention.v_lin")
      .merging(pair("attention.out_lin", "attn.proj")).merging(norm("sa_layer_norm", "norm1"))
      .merging(pair("ffn.lin1", "mlp.fc1")).merging(pair("ffn.lin2", "mlp.fc2"))
      .merging(norm("output_layer_norm", "norm2")),
    aside: [])

  private static let languageModel = "the language model's head, used only in pretraining"
  private static let questionAnswering = "a head for answers within a text"
  private static let twoLayers = "a classifier of two layers; features are what the first of them reads"

  private static let embeddings: [String: Place] =
    tensors([
      "embeddings.word_embeddings.weight": "embeddings.word.weight",
      "embeddings.position_embeddings.weight": "embeddings.position.weight",
    ])
    .merging(norm("embeddings.LayerNorm", "embeddings.norm"))
    .merging(["embeddings.position_ids": .ignored("a counter, not a weight")])

  private static let encoderOuter: [String: Place] =
    embeddings.merging(tensors(["embeddings.token_type_embeddings.weight": "embeddings.type.weight"]))
    .merging(["embeddings.token_type_ids": .ignored("zeros, not a weight")])
    .merging(pair("pooler.dense", "pooler"))

  private static let encoderInner: [String: Place] =
    separate("attention.self.query", "attention.self.key", "attention.self.value")
    .merging(pair("attention.output.dense", "attn.proj")).merging(norm("attention.output.LayerNorm", "norm1"))
    .merging(pair("intermediate.dense", "mlp.fc1")).merging(pair("output.dense", "mlp.fc2"))
    .merging(norm("output.LayerNorm", "norm2"))

  /// A LayerNorm, also under the names that TensorFlow's checkpoints gave its tensors.
  private static func norm(_ theirs: String, _ ours: String) -> [String: Place] {
    pair(theirs, ours).merging(tensors(["\(theirs).gamma": "\(ours).weight", "\(theirs).beta": "\(ours).bias"]))
  }

  private static func ignoredNorm(_ theirs: String, _ reason: String) -> [String: Place] {
    norm(theirs, "").mapValues { _ in .ignored(reason) }
  }

  private static func ignored(_ reason: String, _ names: String...) -> [String: Place] {
    Dictionary(uniqueKeysWithValues: names.map { ($0, .ignored(reason)) })
  }

  private static func ignored(_ reason: String, modules: String...) -> [String: Place] {
    modules.reduce(into: [:]) { $0.merge(ignoredPair($1, reason)) { first, _ in first } }
  }
}
