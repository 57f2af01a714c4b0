import Formats
import Foundation

/// What the files beside a text encoder's weights say of it: `config.json` of transformers, and how sentence-transformers
/// pools the tokens, `1_Pooling/config.json`.
struct TextConfigurationFile {
  /// The path of `config.json`, for errors.
  let file: String
  let family: TextTransformerConfiguration.Family
  let heads: Int
  var layerNormEpsilon: Double?
  var activation: TextTransformerConfiguration.Activation?
  var paddingToken: Int?
  var pooling: TextTransformerConfiguration.Pooling?
  /// Facts that the tensors say as well, to be compared with them.
  private(set) var checks: [(what: String, value: Int)] = []
  /// What sentence-transformers would do to the features that is not done here.
  private(set) var notes: [String] = []

  private static let families: [String: TextTransformerConfiguration.Family] = [
    "bert": .bert, "roberta": .roberta, "xlm-roberta": .roberta, "camembert": .roberta, "distilbert": .distilBERT,
  ]

  /// - Parameter pools: whether how sentence-transformers pools is wanted too.
  /// - Throws: `LoadError.configuration` where `config.json` is missing or says something that this network cannot be: no
  ///   tensor tells how many heads there are.
  init(in folder: URL, pools: Bool = true) throws {
    let url = folder.appendingPathComponent("config.json")
    file = url.path
    func problem(_ text: String) -> LoadError { .configuration(file: url.path, problem: text) }
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw problem("it is not there, and nothing else says how many attention heads the weights beside it have.")
    }
    let json = try JSONValue(configuration: url)
    guard let family = json["model_type"]?.string.flatMap({ Self.families[$0] }) else {
      let kind = json["model_type"] ?? .null
      throw problem(
        "its model_type is \(kind.isNull ? "missing" : try kind.text()), none of "
          + "\(Self.families.keys.sorted().joined(separator: ", ")).")
    }
    self.family = family
    func integer(_ key: String) throws -> Int? {
      guard let value = json[key], !value.isNull else { return nil }
      guard let integer = value.integer, integer >= 0 else {
        throw problem("\(key) is \(try value.text()), no whole number from 0.")
      }
      return integer
    }
    let isDistilled = family == .distilBERT
    let headsKey = isDistilled ? "n_heads" : "num_attention_heads"
    guard let heads = try integer(headsKey) else { throw problem("\(headsKey) is missing.") }
    self.heads = heads
    if let kind = json["position_embedding_type"]?.string, kind != "absolute" {
      throw problem("position_embedding_type is \"\(kind)\"; only absolute positions are supported.")
    }
    for key in ["is_decoder", "add_cross_attention"] where json[key]?.bool == true {
      throw problem("\(key) is true; only encoders are supported.")
    }
    if let value = json["layer_norm_eps"], !value.isNull {
      guard let epsilon = value.double, epsilon > 0, epsilon < 1 else {
        throw problem("layer_norm_eps is \(try value.text()), no number between 0 and 1.")
      }
      layerNormEpsilon = epsilon
    }
    activation = try json[isDistilled ? "activation" : "hidden_act"]?.string.map {
      try .init(huggingFace: $0, file: url.path)
    }
    paddingToken = try integer("pad_token_id")
    let facts =
      isDistilled
      ? [("dim", "width"), ("n_layers", "depth"), ("hidden_dim", "hidden width")]
      : [
        ("hidden_size", "width"), ("num_hidden_layers", "depth"), ("intermediate_size", "hidden width"),
        ("type_vocab_size", "number of token types"),
      ]
    for (key, what) in facts + [("vocab_size", "vocabulary"), ("max_position_embeddings", "number of positions")] {
      if let value = try integer(key) { checks.append((what, value)) }
    }
    if pools { try readSentenceTransformers(in: folder) }
  }

  /// The modules that sentence-transformers runs one after the other. What normalizes the features to length 1 is left to
  /// those who compare them; a further layer would make others of them.
  private mutating func readSentenceTransformers(in folder: URL) throws {
    let modules = folder.appendingPathComponent("modules.json")
    var path = "1_Pooling"
    if FileManager.default.fileExists(atPath: modules.path) {
      for module in try JSONValue(contentsOf: modules).array ?? [] {
        let type = module["type"]?.string?.split(separator: ".").last.map(String.init) ?? ""
        switch type {
        case "Transformer": break
        case "Pooling": path = module["path"]?.string ?? path
        case "Normalize": notes.append("features keep their length, which sentence-transformers makes 1")
        default:
          throw LoadError.configuration(
            file: modules.path, problem: "a module '\(type)' follows the network, which is not supported.")
        }
      }
    }
    let url = try ContainedPath.resolve("\(path)/config.json", in: folder)
    guard FileManager.default.fileExists(atPath: url.path) else { return }
    let json = try JSONValue(configuration: url)
    let prefix = "pooling_mode_"
    let chosen = (json.object?.members ?? []).filter { $0.0.hasPrefix(prefix) && $0.1.bool == true }.map {
      String($0.0.dropFirst(prefix.count))
    }
    switch chosen {
    case ["mean_tokens"]: pooling = .mean
    case ["cls_token"]: pooling = .classToken
    default:
      throw LoadError.configuration(
        file: url.path,
        problem: """
          it pools by \(chosen.isEmpty ? "nothing" : chosen.joined(separator: " and ")); mean_tokens or cls_token is \
          supported. Choose the pooling yourself.
          """)
    }
  }
}
