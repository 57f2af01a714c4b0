import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@Suite struct TextTransformerTests {
  static func model(_ name: String, pooling: TextTransformerConfiguration.Pooling? = .mean) throws -> TextTransformer {
    try TextTransformer(from: Fixture(name: "text/\(name)").url, pooling: pooling)
  }

  @Test func `sites, branches and LayerNorms have the names of every backbone, in the order in which they run`() throws
  {
    let model = try Self.model("bert")
    #expect(
      model.sites.prefix(5).map(\.name) == [
        "blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.0.mlp.fc1", "blocks.0.mlp.fc2", "blocks.1.attn.qkv",
      ])
    #expect(model.sites[0].inFeatures == 24 && model.sites[0].outFeatures == 72)
    #expect(model.branches.map(\.name) == ["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.1.mlp"])
    #expect(
      model.layerNorms == [
        "embeddings.norm", "blocks.0.norm1", "blocks.0.norm2", "blocks.1.norm1", "blocks.1.norm2",
      ])
    #expect(model.stem == nil)
    #expect(model.modules(at: model.sites[2]) == ["encoder.layer.0.intermediate.dense"])
    #expect(
      model.modules(at: model.sites[0])
        == ["query", "key", "value"].map { "encoder.layer.0.attention.self.\($0)" })
    #expect(model.modules(at: model.sites[0].parts[2]) == ["encoder.layer.0.attention.self.value"])
    let value = try model.linear(at: model.sites[0].parts[2])
    try expectClose(value.weight, model.linear(at: model.sites[0]).weight.narrowed(0, 48..<72), tolerance: 0)
    let elsewhere = Site(name: "blocks.2.mlp.fc1", block: 2, role: .fc1, inFeatures: 24, outFeatures: 36)
    #expect(try thrown(BackboneError.self) { _ = try model.linear(at: elsewhere) } == .site("blocks.2.mlp.fc1"))
  }

  @Test(arguments: ["bert", "roberta", "distilbert", "minilm"])
  func `a text's features do not depend on the padding behind it, nor on the texts beside it`(_ name: String) throws {
    for pooling in [TextTransformerConfiguration.Pooling.classToken, .mean] {
      let model = try Self.model(name, pooling: pooling)
      let texts = [[5, 7, 9, 11, 13], [6, 8], [2]]
      let together = try model.features(model.input(texts))
      for (index, text) in texts.enumerated() {
        try expectClose(model.features(model.input([text])), together.narrowed(0, index..<index + 1), tolerance: 2e-6)
      }
      let padded = try TextTransformer.input(ids: texts, paddingToken: model.paddingToken, length: 11)
      try expectClose(model.features(padded), together, tolerance: 2e-6)
      // What stands in the padding is not read.
      let other = try TextTransformer.input(ids: texts, paddingToken: 33, length: 11)
      try expectClose(model.features(other), together, tolerance: 2e-6)
    }
  }

  @Test func `token types and the order of the tokens count`() throws {
    let model = try Self.model("bert")
    let plain = try model.features(model.input([[5, 7, 9]]))
    #expect(try model.features(model.input([[5, 7, 9]], types: [[0, 1, 1]])).distance(to: plain) > 0.05)
    #expect(try model.features(model.input([[5, 9, 7]])).distance(to: plain) > 0.05)
  }

  @Test func `an adaptation is called with every tensor of the network, every site and every branch`() throws {
    final class Recording: Adaptation, @unchecked Sendable {
      var tensors: Set<String> = []
      var sites: [String] = []
      var branches: [String] = []
      var prefixes: [Int] = []
      var sumIsNormalized = true
      func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
        sites.append(linear.site.name)
        return try linear(input)
      }
      func value(of name: String, original: Tensor) -> Tensor {
        tensors.insert(name)
        return original
      }
      func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor {
        branches.append(branch.name)
        let sum = try #require(try state.normalized?(state.stream + state.output))
        sumIsNormalized = try sumIsNormalized && sum.mean(-1).abs().max().item() < 1
        #expect(try state.input.isEqual(to: state.stream))
        return state.output
      }
      func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) -> Tensor {
        prefixes.append(prefix)
        return tokens
      }
    }
    let model = try Self.model("bert", pooling: .pooler)
    let recording = Recording()
    let input = try model.input([[5, 7, 9], [3, 4]])
    let features = try model.features(input, adaptation: recording, pass: ForwardPass())
    #expect(try features.isEqual(to: model.features(input)))
    #expect(recording.sites == model.sites.map(\.name))
    #expect(recording.branches == model.branches.map(\.name))
    #expect(recording.prefixes == [1, 1, 1])
    let maps = Set(model.sites.flatMap { ["\($0.name).weight", "\($0.name).bias"] })
    #expect(recording.tensors.union(maps) == Set(model.tensors.map(\.name)))
  }

  @Test func `the LayerNorm that a branch is given is the one behind its sum`() throws {
    struct Sums: Adaptation {
      let check: @Sendable (Branch, Tensor) throws -> Void
      func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor {
        try check(branch, try #require(try state.normalized?(state.stream + state.output)))
        return state.output
      }
    }
    let model = try Self.model("bert")
    let input = try model.input([[5, 7, 9]])
    let plain = try model.tokens(input)
    // Behind the last branch that is what leaves the network.
    let check = Sums { branch, sum in
      if branch.name == "blocks.1.mlp" { try expectClose(sum, plain, tolerance: 0) }
    }
    _ = try model.tokens(input, adaptation: check)
  }

  @Test func `tokens that an adaptation puts in are attended to, also beside padding`() throws {
    /// One token of these values behind the first.
    struct Prompt: Adaptation {
      let value: Double
      func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor {
        let (shape, count) = (tokens.shape, tokens.shape[1])
        guard let block else {
          return try .concatenated([tokens.narrowed(1, 0..<1), tokens.narrowed(1, 2..<count)], dimension: 1)
        }
        guard block == 0 else { return tokens }
        let ramp = try Tensor.arange(0..<24, dtype: .float32).expanded(shape[0], 1, -1) * value
        return try .concatenated([tokens.narrowed(1, 0..<1), ramp, tokens.narrowed(1, 1..<count)], dimension: 1)
      }
    }
    let model = try Self.model("bert")
    func features(_ value: Double, _ texts: [[Int]]) throws -> Tensor {
      try model.features(model.input(texts), adaptation: Prompt(value: value), pass: ForwardPass())
    }
    let texts = [[5, 7, 9, 11], [6, 8]]
    let together = try features(0.1, texts)
    for (index, text) in texts.enumerated() {
      try expectClose(features(0.1, [text]), together.narrowed(0, index..<index + 1), tolerance: 2e-6)
    }
    for row in 0..<2 {
      #expect(try features(-0.1, texts).select(0, row).distance(to: together.select(0, row)) > 0.01)
    }
  }

  @Test func `heads, activation, pooling and weights are part of the fingerprint`() throws {
    func fingerprint(_ change: (inout Checkpoint) throws -> Void) throws -> String {
      var checkpoint = try Checkpoint("text/bert")
      try change(&checkpoint)
      return try checkpoint.loadText().fingerprint
    }
    let plain = try fingerprint { _ in }
    #expect(try fingerprint { _ in } == plain)
    let others = try [
      fingerprint { try $0.configure("num_attention_heads", 2) },
      fingerprint { try $0.configure("hidden_act", "gelu_new") },
      fingerprint { try $0.configure("layer_norm_eps", 1e-5) },
      fingerprint { $0.tensors["pooler.dense.bias"] = try .ones([24]) },
      Self.model("bert", pooling: .mean).fingerprint, Self.model("bert", pooling: .classToken).fingerprint,
    ]
    #expect(Set(others + [plain]).count == 7)
  }
}
