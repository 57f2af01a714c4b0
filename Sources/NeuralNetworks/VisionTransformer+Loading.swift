import Crypto
import Formats
import Foundation
import Tensors

extension VisionTransformer {
  /// Reads a vision transformer from a folder with `model.safetensors`, or its shards and their index, and with or without a
  /// configuration file.
  ///
  /// Width, depth, patch size, LayerScale and the rest are read off the tensors; the number of heads, the activation and ε
  /// come from the configuration file, from the arguments here, or else from the family's convention, which `report` then
  /// lists as an assumption. Weights stored in half precision are widened to float32. Every tensor is accounted for: used,
  /// listed in `report.ignored` with a reason, or refused.
  ///
  /// - Parameters:
  ///   - folder: what a download of a model leaves: weights and `config.json`.
  ///   - pooling: how tokens become features; nil for what the model was trained with.
  ///   - heads: attention heads, where no file says it and width / 64 is wrong.
  ///   - activation: of the MLP, where no file says it.
  /// - Throws: `LoadError`, `SafetensorsError`, `JSONFileError` or `FileError`, naming file and tensor.
  public convenience init(
    from folder: URL, device: Device = .cpu, pooling: VisionTransformerConfiguration.Pooling? = nil, heads: Int? = nil,
    activation: VisionTransformerConfiguration.Activation? = nil
  ) throws {
    try device.checkAvailable()
    let files = try ShardedSafetensors(in: folder)
    var said = try VisionConfigurationFile(in: folder)
    said.heads = heads ?? said.heads
    said.activation = activation ?? said.activation
    let sources = try WeightSources(files)
    guard case .image(let family) = sources.names.family else {
      throw LoadError.otherKind(
        folder: folder.path, found: "\(sources.names.family)", wanted: "a vision transformer", type: "TextTransformer")
    }
    var weights = try CanonicalWeights(files, sources)
    let beside = VisionTransformer.Beside(
      projection: weights.remove("projection.weight"),
      classifier: weights.remove("head.weight").map { ($0, weights.remove("head.bias")) },
      distillationClassifier: weights.remove("head_dist.weight").map { ($0, weights.remove("head_dist.bias")) })
    var assumptions: [String] = []
    let configuration = try VisionWeightReader.configuration(
      &weights, family, said: said, pooling: pooling, folder: folder.path, assumptions: &assumptions)
    let normalization =
      said.normalization ?? (weights["norm_pre.weight"] != nil ? ImageNormalization.clip : .imageNet)
    if said.normalization == nil {
      assumptions.append("pixel statistics of \(normalization == .clip ? "CLIP" : "ImageNet")")
    }
    try VisionWeightReader.check(weights, configuration, folder: folder.path)
    try VisionWeightReader.check(beside, width: configuration.width)
    let report = LoadReport(
      family: family.rawValue, used: files.tensors.count - sources.ignored.count, ignored: sources.ignored,
      assumptions: assumptions)
    try self.init(
      configuration, weights: weights.sorted(), device: device,
      fingerprint: FileDigest.sha256(of: Data("\(files.fingerprint()) \(configuration)".utf8)),
      normalization: normalization, beside: beside, report: report)
  }
}

extension ShardedSafetensors {
  /// The sha256 of the file, or of the shards' digests in order of their names.
  func fingerprint() throws -> String {
    let digests = try shards.sorted { $0.key < $1.key }.map { try FileDigest.sha256(of: $0.value.url) }
    return digests.count == 1 ? digests[0] : FileDigest.sha256(of: Data(digests.joined(separator: "\n").utf8))
  }
}

/// Reads the shape of a vision transformer off its tensors.
enum VisionWeightReader {
  /// What the tensors and the files say; brings tokens and positions to the shapes timm gives them.
  static func configuration(
    _ weights: inout CanonicalWeights, _ family: VisionTransformerConfiguration.Family, said: VisionConfigurationFile,
    pooling: VisionTransformerConfiguration.Pooling?, folder: String, assumptions: inout [String]
  ) throws -> VisionTransformerConfiguration {
    func need(_ name: String, rank: Int) throws -> [Int] {
      guard let shape = weights[name]?.shape else {
        throw LoadError.unaccounted(folder: folder, unknown: [], missing: [name])
      }
      guard shape.count == rank else {
        throw LoadError.inferred(
          "'\(name)' has \(shape.count) dimensions, not \(rank).", "This is no vision transformer of a known kind.")
      }
      return shape
    }
    let patch = try need("patch_embed.weight", rank: 4)
    guard patch[0] > 0, patch[1] == 3, patch[2] == patch[3], patch[2] > 0 else {
      throw LoadError.shape(
        "patch_embed.weight", expected: [max(1, patch[0]), 3, max(1, patch[2]), max(1, patch[2])], found: patch)
    }
    let width = patch[0]
    let hidden = try need("blocks.0.mlp.fc1.weight", rank: 2)[0]
    let depth = try weights.depth()
    for name in ["cls_token", "dist_token"] { try weights.reshape(name, [1, 1, width]) }
    if let registers = weights["reg_token"] { try weights.reshape("reg_token", [1, registers.count / width, width]) }
    guard let table = weights["pos_embed"], weights["cls_token"] != nil else {
      let missing = ["pos_embed", "cls_token"].filter { weights[$0] == nil }
      throw LoadError.unaccounted(folder: folder, unknown: [], missing: missing)
    }
    let places = table.count / width
    try weights.reshape("pos_embed", [1, places, width])
    let prefix = weights["dist_token"] == nil ? 1 : 2
    let (covers, grid) = try positions(places, prefix: prefix)

    let heads: Int
    if let said = said.heads {
      heads = said
    } else {
      heads = max(1, width / 64)
      assumptions.append("\(heads) attention heads, of width 64")
    }
    guard heads > 0, width % heads == 0 else {
      throw LoadError.inferred("\(heads) heads do not divide the width \(width).", "Give the number of heads.")
    }
    let epsilon: Double
    if let said = said.layerNormEpsilon {
      epsilon = said
    } else {
      epsilon = weights["norm_pre.weight"] != nil ? 1e-5 : family == .huggingFace ? 1e-12 : 1e-6
      assumptions.append("LayerNorm ε \(epsilon)")
    }
    // The configurations that transformers writes leave out what is CLIP's default.
    let activation = said.activation ?? (family == .clip ? .quickGELU : .gelu)
    if said.activation == nil {
      assumptions.append("the activation \(activation == .gelu ? "GELU" : "QuickGELU")")
    }
    // In transformers, DINOv2 with registers does so and all others do not.
    let antialias = family == .timm || family == .openCLIP || (family == .dinov2 && weights["reg_token"] != nil)
    let configuration = VisionTransformerConfiguration(
      family: family, patchSize: patch[2], width: width, depth: depth, heads: heads, hidden: hidden,
      layerNormEpsilon: epsilon, activation: activation, grid: grid, positionsCoverPrefix: covers,
      antialiasPositions: antialias,
      pooling: pooling ?? (said.averagesPatches || weights["fc_norm.weight"] != nil ? .meanPatch : .classToken))
    let facts = ["width": width, "depth": depth, "patch size": configuration.patchSize]
    for (what, value) in said.checks where facts[what] != value {
      throw LoadError.configuration(
        file: folder, problem: "the configuration says \(what) \(value), the tensors say \(facts[what] ?? 0).")
    }
    return configuration
  }

  private static func positions(_ places: Int, prefix: Int) throws -> (covers: Bool, grid: Int) {
    for (covered, covers) in [(places - prefix, true), (places, false)] where covered > 0 {
      let side = Int(Double(covered).squareRoot().rounded())
      if side * side == covered { return (covers, side) }
    }
    throw LoadError.inferred("\(places) position embeddings are no square grid.", "Only square images are supported.")
  }

  /// Projection and classifiers take features: of one token, or of two side by side (DINOv2's classifiers).
  static func check(_ beside: VisionTransformer.Beside, width: Int) throws {
    if let shape = beside.projection?.shape, shape.count != 2 || shape[1] != width {
      throw LoadError.shape("projection.weight", expected: [shape.first ?? 0, width], found: shape)
    }
    for (name, head) in [("head", beside.classifier), ("head_dist", beside.distillationClassifier)] {
      guard let (weight, bias) = head else { continue }
      let shape = weight.shape
      guard shape.count == 2, shape[1] == width || shape[1] == 2 * width else {
        throw LoadError.shape("\(name).weight", expected: [shape.first ?? 0, width], found: shape)
      }
      if let bias, bias.shape != [shape[0]] {
        throw LoadError.shape("\(name).bias", expected: [shape[0]], found: bias.shape)
      }
    }
  }

  /// Every tensor of the network is there, in the shape that the rest makes it, and nothing else is.
  static func check(
    _ weights: CanonicalWeights, _ configuration: VisionTransformerConfiguration, folder: String
  ) throws {
    let (width, hidden) = (configuration.width, configuration.hidden)
    var shapes: [String: [Int]] = [
      "patch_embed.weight": [width, 3, configuration.patchSize, configuration.patchSize], "cls_token": [1, 1, width],
      "pos_embed": weights["pos_embed"]?.shape ?? [],
    ]
    var optional: [String: [Int]] = [
      "dist_token": [1, 1, width], "reg_token": weights["reg_token"]?.shape ?? [],
    ]
    // CLIP's patches, which a LayerNorm follows, have no bias; all others have one.
    if weights["norm_pre.weight"] == nil {
      shapes["patch_embed.bias"] = [width]
    } else {
      optional["patch_embed.bias"] = [width]
    }
    func norm(_ name: String, into table: inout [String: [Int]]) {
      table["\(name).weight"] = [width]
      table["\(name).bias"] = [width]
    }
    if weights["fc_norm.weight"] == nil { norm("norm", into: &shapes) } else { norm("fc_norm", into: &shapes) }
    if weights["norm_pre.weight"] != nil { norm("norm_pre", into: &shapes) }
    // What a block may have or not, it has in every block: a file that lost one of them is not taken for another network.
    let chosen = Set(
      weights.ordered.compactMap { name, _ in
        name.hasPrefix("blocks.") ? name.split(separator: ".").dropFirst(2).joined(separator: ".") : nil
      })
    for index in 0..<configuration.depth {
      let block = "blocks.\(index)"
      func perhaps(_ name: String, _ shape: [Int]) {
        if chosen.contains(name) { shapes["\(block).\(name)"] = shape }
      }
      norm("\(block).norm1", into: &shapes)
      norm("\(block).norm2", into: &shapes)
      for (name, shape) in CanonicalWeights.maps(width: width, hidden: hidden) {
        shapes["\(block).\(name).weight"] = shape
        perhaps("\(name).bias", [shape[0]])
      }
      perhaps("ls1.gamma", [width])
      perhaps("ls2.gamma", [width])
    }
    try weights.check(shapes, optional: optional, folder: folder)
  }
}
