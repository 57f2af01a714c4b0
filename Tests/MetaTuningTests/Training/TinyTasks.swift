import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

@testable import MetaTuning

/// The work is too small to share: threads that wait for each other would take most of the time.
private let oneThread: Void = { Threads.count = 1 }()

/// A folder that goes when it does.
final class ScratchFolder: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("meta-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }
}

/// Networks with random weights, written as files and read as any other.
enum Tiny {
  /// A vision transformer of 2 blocks, width 16, for images of 8 × 8 pixels in 4 patches.
  static func vision(seed: UInt64 = 2) throws -> VisionTransformer {
    oneThread
    let folder = try ScratchFolder()
    let generator = try Generator(seed: seed)
    let width = 16
    var writer = SafetensorsWriter()
    func add(_ name: String, _ shape: [Int], _ mean: Double = 0) throws {
      try writer.add(name, .normal(shape, mean: mean, deviation: 0.2, from: generator))
    }
    try add("cls_token", [1, 1, width])
    try add("pos_embed", [1, 5, width])
    try add("patch_embed.proj.weight", [width, 3, 4, 4])
    try add("patch_embed.proj.bias", [width])
    for block in 0..<2 {
      for (name, inputs, outputs) in [
        ("attn.qkv", 1, 3), ("attn.proj", 1, 1), ("mlp.fc1", 1, 2), ("mlp.fc2", 2, 1),
      ] {
        try add("blocks.\(block).\(name).weight", [outputs * width, inputs * width])
        try add("blocks.\(block).\(name).bias", [outputs * width])
      }
      for norm in ["norm1", "norm2"] {
        try add("blocks.\(block).\(norm).weight", [width], 1)
        try add("blocks.\(block).\(norm).bias", [width])
      }
    }
    try add("norm.weight", [width], 1)
    try add("norm.bias", [width])
    try writer.write(to: folder.url.appendingPathComponent("model.safetensors"))
    return try VisionTransformer(from: folder.url, heads: 2)
  }

  /// A BERT of 1 block, width 16, over 40 tokens.
  static func text() throws -> TextTransformer {
    oneThread
    let folder = try ScratchFolder()
    let generator = try Generator(seed: 5)
    let width = 16
    var writer = SafetensorsWriter()
    func add(_ name: String, _ shape: [Int], _ mean: Double = 0) throws {
      try writer.add(name, .normal(shape, mean: mean, deviation: 0.3, from: generator))
    }
    func addAffine(_ name: String, _ outputs: Int, _ inputs: Int) throws {
      try add("\(name).weight", [outputs, inputs])
      try add("\(name).bias", [outputs])
    }
    func addNorm(_ name: String) throws {
      try add("\(name).weight", [width], 1)
      try add("\(name).bias", [width])
    }
    for (table, rows) in [("word", 40), ("position", 8), ("token_type", 2)] {
      try add("embeddings.\(table)_embeddings.weight", [rows, width])
    }
    try addNorm("embeddings.LayerNorm")
    let layer = "encoder.layer.0"
    for part in ["query", "key", "value"] { try addAffine("\(layer).attention.self.\(part)", width, width) }
    try addAffine("\(layer).attention.output.dense", width, width)
    try addNorm("\(layer).attention.output.LayerNorm")
    try addAffine("\(layer).intermediate.dense", 2 * width, width)
    try addAffine("\(layer).output.dense", width, 2 * width)
    try addNorm("\(layer).output.LayerNorm")
    try writer.write(to: folder.url.appendingPathComponent("model.safetensors"))
    let configuration: JSONValue = [
      "hidden_act": "gelu", "hidden_size": 16, "intermediate_size": 32, "layer_norm_eps": 1e-12,
      "max_position_embeddings": 8, "model_type": "bert", "num_attention_heads": 2, "num_hidden_layers": 1,
      "pad_token_id": 0, "type_vocab_size": 2, "vocab_size": 40,
    ]
    try configuration.data().write(to: folder.url.appendingPathComponent("config.json"))
    return try TextTransformer(from: folder.url, pooling: .mean)
  }

  /// 10 classes of 8 images of 8 × 8 pixels each: a class is a pattern, an image that pattern with noise.
  static func images(varies: Bool = false, seed: UInt64 = 4) throws -> TensorExamples {
    let generator = try Generator(seed: seed)
    var rows: [Tensor] = []
    for _ in 0..<10 {
      let pattern = try Tensor.normal([3, 8, 8], from: generator)
      for _ in 0..<8 { rows.append(try Tensor.normal([3, 8, 8], deviation: 1.2, from: generator) + pattern) }
    }
    let inputs = try Tensor.stacked(rows)
    return try TensorExamples(
      inputs: inputs, labels: (0..<80).map { $0 / 8 }, classes: (0..<10).map { "class \($0)" }, domains: ["patterns"],
      counts: [80], views: varies ? [inputs * 1.1, inputs * 0.9] : [])
  }

  /// 6 classes of 6 texts each: a text of class `c` has tokens of its own among those of all.
  static func texts() throws -> TensorExamples {
    var generator = Xoshiro256(seed: 9)
    var numbers: [Int64] = []
    for label in 0..<6 {
      for _ in 0..<6 {
        numbers += (0..<6).map { $0 < 3 ? Int64(4 + label * 5 + generator.below(5)) : Int64(34 + generator.below(6)) }
        numbers += [Int64](repeating: 0, count: 6) + [Int64](repeating: 1, count: 6)
      }
    }
    return try TensorExamples(
      inputs: Tensor(numbers, shape: [36, 3, 6]), labels: (0..<36).map { $0 / 6 },
      classes: (0..<6).map { "topic \($0)" },
      domains: ["topics"], counts: [36])
  }

  /// The classes `classes` of examples that lie class after class.
  static func pool(_ name: String, of examples: TensorExamples, classes: Range<Int>) -> EpisodePool {
    EpisodePool(
      name: name,
      classes: classes.map { label in
        EpisodePool.Class(
          name: examples.classes[label], examples: examples.labels.indices.filter { examples.labels[$0] == label })
      })
  }

  /// Episodes of 4 ways, 2 shots and 3 queries over the first 6 classes of `images`.
  static func sampler(_ examples: TensorExamples, seed: UInt64 = 3, classes: Range<Int> = 0..<6) throws
    -> EpisodeSampler
  {
    try EpisodeSampler(
      [pool("patterns", of: examples, classes: classes)], settings: .fixed(ways: 4, shots: 2, queries: 3), seed: seed)
  }

  /// A configuration for these: a few steps at rates that move something.
  static func configuration(
    _ method: MetaMethod, preset: MetaPreset = .recommended, steps: Int = 6,
    _ change: (inout MetaConfiguration) -> Void = { _ in }
  ) -> MetaConfiguration {
    var configuration = MetaConfiguration(method, preset: preset)
    configuration.steps = steps
    configuration.tasksPerStep = 2
    configuration.episodes = .fixed(ways: 4, shots: 2, queries: 3)
    configuration.experts = 3
    configuration.deltaRate = 0.02
    configuration.schedule = .constant
    configuration.warmup = 0
    configuration.augmentation = nil
    configuration.teacherRate = 0.05
    configuration.validationInterval = 3
    configuration.validationEpisodes = 4
    configuration.seed = 8
    change(&configuration)
    return configuration
  }

  /// One episode's inputs, in any dtype.
  @Compute
  static func episode(_ number: Int = 0, of examples: TensorExamples, dtype: DType = .float32) throws -> EpisodeBatch {
    let sampler = try sampler(examples)
    let episode = sampler.episode(number)
    let indices = episode.supportExamples + episode.queryExamples
    let index = try Tensor(indices.map(Int64.init))
    let batch = Batch(
      step: number, indices: indices, inputs: try examples.inputs.selected(0, index).to(dtype),
      labels: try Tensor(indices.map { Int64(examples.labels[$0]) }))
    return try EpisodeBatch(episode, batch, device: .cpu)
  }
}

/// A network with its weights in float64, for finite differences.
struct DoublePrecision: Backbone {
  let network: VisionTransformer
  let tensors: [(name: String, tensor: Tensor)]

  init(_ network: VisionTransformer) throws {
    self.network = network
    tensors = try network.tensors.map { ($0.name, try $0.tensor.to(.float64)) }
  }

  var sites: [Site] { network.sites }
  var branches: [Branch] { network.branches }
  var layerNorms: [String] { network.layerNorms }
  var stem: String? { network.stem }
  var featureWidth: Int { network.featureWidth }
  var device: Device { network.device }
  var fingerprint: String { "double \(network.fingerprint)" }
  func linear(at site: Site) throws -> Linear { try network.linear(at: site) }
  func modules(at site: Site) -> [String] { network.modules(at: site) }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    let own = Values(tensors: Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor) }))
    return try network.features(input.to(.float64), adaptation: adaptation is Frozen ? own : adaptation, pass: pass)
  }

  private struct Values: Adaptation {
    let tensors: [String: Tensor]
    func value(of name: String, original: Tensor) -> Tensor { tensors[name] ?? original }
    func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
      try input.linear(
        value(of: "\(linear.site.name).weight", original: linear.weight),
        linear.bias.map { value(of: "\(linear.site.name).bias", original: $0) })
    }
  }
}
