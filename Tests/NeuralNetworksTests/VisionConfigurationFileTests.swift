import Formats
import Foundation
import Testing

@testable import NeuralNetworks

@Suite struct VisionConfigurationFileTests {
  private func read(_ files: [String: String]) throws -> VisionConfigurationFile {
    let folder = try TemporaryFolder()
    for (name, text) in files {
      try Data(text.utf8).write(to: folder.url.appendingPathComponent(name))
    }
    return try VisionConfigurationFile(in: folder.url)
  }

  /// What reading one `config.json` says, without the folder's path.
  private func refusal(_ text: String, in name: String = "config.json") throws -> String {
    let error = try thrown(LoadError.self) { _ = try read([name: text]) }
    let description = error.description
    let start = try #require(description.range(of: "/\(name): "), "\(description) names the file")
    return String(description[start.upperBound...])
  }

  @Test func `a folder without configuration says nothing`() throws {
    let said = try read([:])
    #expect(said.heads == nil && said.layerNormEpsilon == nil && said.activation == nil && said.normalization == nil)
    #expect(said.checks.isEmpty)
    #expect(!said.averagesPatches)
  }

  @Test func `transformers' configuration is read, or its vision part where it has one`() throws {
    let vision = """
      {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 8, "patch_size": 14, "layer_norm_eps": 1e-12,
       "hidden_act": "quick_gelu"}
      """
    for text in [vision, #"{"vision_config": \#(vision), "text_config": {"num_attention_heads": 2}}"#] {
      let said = try read(["config.json": text])
      #expect(said.heads == 8)
      #expect(said.layerNormEpsilon == 1e-12)
      #expect(said.activation == .quickGELU)
      #expect(said.checks.map(\.what) == ["width", "depth", "patch size"])
      #expect(said.checks.map(\.value) == [32, 3, 14])
    }
  }

  @Test func `timm's configuration leaves ε and the activation to the architecture's name`() throws {
    let plain = try read([
      "config.json": """
      {"architecture": "vit_tiny_patch16_224", "global_pool": "avg", "model_args": {"num_heads": 3, "depth": 12},
       "pretrained_cfg": {"mean": [0.5, 0.25, 0.5], "std": [1, 2, 0.5]}}
      """
    ])
    #expect(plain.heads == 3)
    #expect(plain.layerNormEpsilon == 1e-6)
    #expect(plain.activation == .gelu)
    #expect(plain.averagesPatches)
    #expect(plain.normalization == ImageNormalization(mean: [0.5, 0.25, 0.5], deviation: [1, 2, 0.5]))
    #expect(plain.checks.map(\.value) == [12])
    let clip = try read(["config.json": #"{"architecture": "vit_base_patch16_clip_quickgelu_224"}"#])
    #expect(clip.layerNormEpsilon == 1e-5)
    #expect(clip.activation == .quickGELU)
    #expect(!clip.averagesPatches)
    let named = try read([
      "config.json": """
      {"architecture": "vit", "global_pool": "avg", "model_args": {"act_layer": "gelu_tanh", "global_pool": "token"}}
      """
    ])
    #expect(named.activation == .geluTanh)
    #expect(!named.averagesPatches)
  }

  @Test func `OpenCLIP's configuration gives heads by their width`() throws {
    let said = try read([
      "open_clip_config.json": """
      {"model_cfg": {"quick_gelu": true, "vision_cfg": {"width": 768, "layers": 12, "patch_size": 32}},
       "preprocess_cfg": {"mean": [0, 0.5, 1], "std": [1, 1, 2]}}
      """,
      "config.json": #"{"num_attention_heads": 99}"#,
    ])
    #expect(said.heads == 12)
    #expect(said.layerNormEpsilon == 1e-5)
    #expect(said.activation == .quickGELU)
    #expect(said.checks.map(\.value) == [768, 12, 32])
    #expect(said.normalization == ImageNormalization(mean: [0, 0.5, 1], deviation: [1, 1, 2]))
    let wide = try read([
      "open_clip_config.json": #"{"model_cfg": {"vision_cfg": {"width": 24, "head_width": 6}}}"#
    ])
    #expect(wide.heads == 4)
    #expect(wide.activation == .gelu)
  }

  @Test(arguments: [0, -64, 7])
  func `a width of heads that does not divide is refused`(_ width: Int) throws {
    let text = #"{"model_cfg": {"vision_cfg": {"width": 24, "head_width": \#(width)}}}"#
    #expect(try refusal(text, in: "open_clip_config.json") == "head_width \(width) does not divide width 24.")
  }

  @Test func `an OpenCLIP configuration without an image tower is refused`() throws {
    #expect(
      try refusal(#"{"model_cfg": {"text_cfg": {}}}"#, in: "open_clip_config.json")
        == "it has no model_cfg.vision_cfg.")
  }

  @Test func `pixel statistics of the preprocessor go before others`() throws {
    let config = #"{"architecture": "vit", "pretrained_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1]}}"#
    let said = try read([
      "config.json": config, "preprocessor_config.json": #"{"image_mean": [0.5, 0.5, 0.5], "image_std": [2, 2, 2]}"#,
    ])
    #expect(said.normalization == ImageNormalization(mean: [0.5, 0.5, 0.5], deviation: [2, 2, 2]))
    let silent = try read(["config.json": config, "preprocessor_config.json": #"{"do_resize": true}"#])
    #expect(silent.normalization == ImageNormalization(mean: [0, 0, 0], deviation: [1, 1, 1]))
  }

  @Test(arguments: [
    #"{"image_mean": [0.5, 0.5], "image_std": [1, 1]}"#, #"{"image_mean": [0, 0, 0], "image_std": [1, 0, 1]}"#,
    #"{"image_mean": "imagenet", "image_std": [1, 1, 1]}"#, #"{"image_mean": [0, 0, 0]}"#,
  ])
  func `pixel statistics that cannot be used are not used`(_ text: String) throws {
    #expect(try read(["preprocessor_config.json": text]).normalization == nil)
  }

  @Test(arguments: [
    ("gelu", VisionTransformerConfiguration.Activation.gelu), ("quick_gelu", .quickGELU), ("gelu_new", .geluTanh),
    ("gelu_pytorch_tanh", .geluTanh), ("gelu_python", .gelu),
  ])
  func `activations go by several names`(_ name: String, activation: VisionTransformerConfiguration.Activation) throws {
    #expect(try read(["config.json": #"{"hidden_act": "\#(name)"}"#]).activation == activation)
  }

  @Test func `an activation that nobody knows is refused with those that are`() throws {
    #expect(
      try refusal(#"{"hidden_act": "silu"}"#)
        == "the activation 'silu' is none of gelu, quick_gelu, gelu_new, gelu_pytorch_tanh, relu.")
  }

  @Test func `a file that is not JSON, or not an object, is refused by name`() throws {
    #expect(try refusal(#"{"hidden_size": 24,}"#).hasPrefix("it is not JSON. Byte 19: "))
    #expect(try refusal("[1, 2]").hasPrefix("it holds "))
    #expect(try refusal("[1, 2]").hasSuffix(", not an object."))
    #expect(try refusal("", in: "preprocessor_config.json").hasPrefix("it is not JSON."))
    #expect(try refusal("NaN", in: "open_clip_config.json").hasPrefix("it is not JSON."))
  }
}
