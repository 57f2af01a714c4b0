import Formats
import Foundation
import Tensors

extension TextTransformer {
  /// Reads a text encoder from a folder with `model.safetensors`, or its shards and their index, and `config.json`.
  ///
  /// Width, depth and the sizes of the tables are read off the tensors; heads, activation, ε and the padding token come from
  /// the configuration, which must agree with the tensors in the rest. Weights stored in half precision are widened to float32.
  /// Every tensor is accounted for: used, listed in `report.ignored` with a reason, or refused.
  ///
  /// - Parameters:
  ///   - folder: what a download of a model leaves.
  ///   - pooling: how tokens become features; nil for what `1_Pooling/config.json` of sentence-transformers says, else the
  ///     pooler where the weights have one, else the class token, which `report` then lists as an assumption.
  /// - Throws: `LoadError`, `SafetensorsError`, `JSONFileError` or `FileError`, naming file and tensor.
  public convenience init(
    from folder: URL, device: Device = .cpu, pooling: TextTransformerConfiguration.Pooling? = nil
  ) throws {
    try device.checkAvailable()
    let files = try ShardedSafetensors(in: folder)
    let sources = try WeightSources(files)
    guard case .text(let named) = sources.names.family else {
      throw LoadError.otherKind(
        folder: folder.path, found: "\(sources.names.family)", wanted: "a text encoder", type: "VisionTransformer")
    }
    let said = try TextConfigurationFile(in: folder, pools: pooling == nil)
    // Without a prefix, RoBERTa's names are BERT's.
    guard said.family == named || (said.family, named) == (.roberta, .bert) else {
      throw LoadError.configuration(
        file: said.file, problem: "it describes \(said.family.rawValue), the tensors are \(named.rawValue)'s.")
    }
    var weights = try CanonicalWeights(files, sources)
    var assumptions: [String] = []
    let configuration = try TextWeightReader.configuration(
      weights, said, pooling: pooling, folder: folder.path, assumptions: &assumptions)
    let classifier = weights.remove("head.weight").map { ($0, weights.remove("head.bias")) }
    if let classifier { try TextWeightReader.check(classifier, width: configuration.width) }
    var ignored = sources.ignored
    if configuration.pooling != .pooler {
      for name in ["pooler.weight", "pooler.bias"] {
        ignored += (weights.sources[name] ?? []).map {
          LoadReport.Ignored(name: $0, reason: "the pooler, which these features do not come from")
        }
        _ = weights.remove(name)
      }
    }
    try TextWeightReader.check(weights, configuration, folder: folder.path)
    ignored.sort { $0.name < $1.name }
    let report = LoadReport(
      family: said.family.rawValue, used: files.tensors.count - ignored.count, ignored: ignored,
      assumptions: assumptions + said.notes)
    try self.init(
      configuration, weights: weights.sorted(), device: device,
      fingerprint: FileDigest.sha256(of: Data("\(files.fingerprint()) \(configuration.reading)".utf8)),
      classifier: classifier, report: report)
  }
}

extension TextTransformerConfiguration {
  /// How the same tensors are read, in words that no release of Swift changes.
  fileprivate var reading: String {
    """
    \(family.rawValue) heads \(heads) epsilon \(layerNormEpsilon) \(activation.rawValue) padding \(paddingToken) \
    \(pooling.rawValue)
    """
  }
}

/// Reads the shape of a text encoder off its tensors.
private enum TextWeightReader {
  static func configuration(
    _ weights: CanonicalWeights, _ said: TextConfigurationFile, pooling: TextTransformerConfiguration.Pooling?,
    folder: String, assumptions: inout [String]
  ) throws -> TextTransformerConfiguration {
    func need(_ name: String) throws -> [Int] {
      guard let shape = weights[name]?.shape else {
        throw LoadError.unaccounted(folder: folder, unknown: [], missing: [name])
      }
      guard shape.count == 2, shape.allSatisfy({ $0 > 0 }) else {
        throw LoadError.inferred("'\(name)' has shape \(shape).", "A table or a map of two dimensions is wanted.")
      }
      return shape
    }
    func assume<Value>(_ value: Value?, _ usual: Value, _ what: String) -> Value {
      if value == nil { assumptions.append("\(what) \(usual)") }
      return value ?? usual
    }
    let word = try need("embeddings.word.weight")
    let positions = try need("embeddings.position.weight")[0]
    let types = said.family == .distilBERT ? 0 : try need("embeddings.type.weight")[0]
    let hidden = try need("blocks.0.mlp.fc1.weight")[0]
    let (width, depth) = (word[1], try weights.depth())
    let facts = [
      "width": width, "depth": depth, "hidden width": hidden, "number of token types": types, "vocabulary": word[0],
      "number of positions": positions,
    ]
    for (what, value) in said.checks where facts[what] != value {
      throw LoadError.configuration(
        file: said.file, problem: "it says \(what) \(value), the tensors say \(facts[what] ?? 0).")
    }
    guard said.heads > 0, width % said.heads == 0 else {
      throw LoadError.configuration(file: said.file, problem: "\(said.heads) heads do not divide the width \(width).")
    }
    let hasPooler = weights["pooler.weight"] != nil
    let chosen = pooling ?? said.pooling ?? (hasPooler ? .pooler : .classToken)
    if pooling == nil, said.pooling == nil {
      assumptions.append("features from the \(hasPooler ? "pooler" : "class token")")
    }
    guard chosen != .pooler || hasPooler else {
      throw LoadError.inferred(
        "The weights in \(folder) have no pooler.", "Choose another pooling: classToken or mean.")
    }
    let configuration = TextTransformerConfiguration(
      family: said.family, vocabulary: word[0], positions: positions, types: types, width: width, depth: depth,
      heads: said.heads, hidden: hidden,
      // DistilBERT's configuration has no ε: its code has this one.
      layerNormEpsilon: said.family == .distilBERT ? 1e-12 : assume(said.layerNormEpsilon, 1e-12, "LayerNorm ε"),
      activation: assume(said.activation, .gelu, "the activation"),
      paddingToken: assume(said.paddingToken, said.family == .roberta ? 1 : 0, "the padding token"), pooling: chosen)
    guard configuration.paddingToken < word[0], configuration.maximumLength > 0 else {
      throw LoadError.configuration(
        file: said.file,
        problem: """
          the padding token \(configuration.paddingToken) does not fit a vocabulary of \(word[0]) and \(positions) \
          positions.
          """)
    }
    return configuration
  }

  static func check(_ classifier: (weight: Tensor, bias: Tensor?), width: Int) throws {
    let shape = classifier.weight.shape
    guard shape.count == 2, shape[1] == width else {
      throw LoadError.shape("head.weight", expected: [shape.first ?? 0, width], found: shape)
    }
    if let bias = classifier.bias, bias.shape != [shape[0]] {
      throw LoadError.shape("head.bias", expected: [shape[0]], found: bias.shape)
    }
  }

  /// Every tensor of the network is there, in the shape that the rest makes it, and nothing else is.
  static func check(
    _ weights: CanonicalWeights, _ configuration: TextTransformerConfiguration, folder: String
  ) throws {
    let width = configuration.width
    var shapes: [String: [Int]] = [
      "embeddings.word.weight": [configuration.vocabulary, width],
      "embeddings.position.weight": [configuration.positions, width],
    ]
    if configuration.types > 0 { shapes["embeddings.type.weight"] = [configuration.types, width] }
    if configuration.pooling == .pooler {
      shapes["pooler.weight"] = [width, width]
      shapes["pooler.bias"] = [width]
    }
    let norms =
      ["embeddings.norm"] + (0..<configuration.depth).flatMap { ["blocks.\($0).norm1", "blocks.\($0).norm2"] }
    for norm in norms {
      shapes["\(norm).weight"] = [width]
      shapes["\(norm).bias"] = [width]
    }
    for block in 0..<configuration.depth {
      for (name, shape) in CanonicalWeights.maps(width: width, hidden: configuration.hidden) {
        shapes["blocks.\(block).\(name).weight"] = shape
        shapes["blocks.\(block).\(name).bias"] = [shape[0]]
      }
    }
    try weights.check(shapes, folder: folder)
  }
}
