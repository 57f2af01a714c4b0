import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

/// Every fixture against the library that wrote it.
@Suite struct VisionTransformerParityTests {
  @Test func `every fixture is tested`() throws {
    let folders = try FileManager.default.contentsOfDirectory(atPath: Fixture.folder.path)
      .filter { FileManager.default.fileExists(atPath: "\(Fixture.folder.path)/\($0)/model.safetensors") }
    #expect(folders.sorted() == Fixture.all.map(\.name))
  }

  @Test(arguments: Fixture.all, ["", "other_size."])
  func `tokens and features are the reference's`(_ fixture: Fixture, size: String) throws {
    let model = try fixture.model()
    let reference = try fixture.reference()
    let input = try reference.tensor("\(size)input")
    try expectClose(try model.tokens(input), try reference.tensor("\(size)tokens"), tolerance: 1e-5)
    let features = try model.features(input)
    try expectClose(features, try reference.tensor("\(size)features"), tolerance: 1e-5)
    #expect(features.shape == [input.shape[0], model.featureWidth])
  }

  @Test(arguments: Fixture.all, ["features", "tokens", "other_size.features"])
  func `gradients with respect to the pixels are the reference's`(_ fixture: Fixture, output: String) throws {
    let model = try fixture.model()
    let reference = try fixture.reference()
    let size = output.hasPrefix("other_size.") ? "other_size." : ""
    let input = try reference.tensor("\(size)input").clone().requiringGradient()
    let found = output == "tokens" ? try model.tokens(input) : try model.features(input)
    let weights = try reference.tensor("\(output).weights")
    let gradient = try #require(try (found * weights).sum().gradients([input]).first ?? nil)
    try expectClose(gradient, try reference.tensor("\(output).input_gradient"), tolerance: 1e-4)
  }

  @Test(arguments: Fixture.all)
  func `CLIP's projection and the classifiers give the reference's outputs`(_ fixture: Fixture) throws {
    let model = try fixture.model()
    let reference = try fixture.reference()
    #expect((model.beside.projection != nil) == (reference["projected"] != nil))
    #expect((model.beside.classifier != nil) == (reference["logits"] != nil))
    #expect((model.beside.distillationClassifier != nil) == (reference["distillation_features"] != nil))
    for size in ["", "other_size."] {
      let tokens = try model.tokens(try reference.tensor("\(size)input"))
      let features = try tokens.select(1, 0)
      if let projection = model.beside.projection {
        let projected = try features.linear(projection)
        try expectClose(projected, try reference.tensor("\(size)projected"), tolerance: 1e-5)
      }
      guard let head = model.beside.classifier else { continue }
      var logits = try features.linear(head.weight, head.bias)
      if let second = model.beside.distillationClassifier {
        let distilled = try tokens.select(1, 1)
        try expectClose(distilled, try reference.tensor("\(size)distillation_features"), tolerance: 1e-5)
        logits = try (logits + distilled.linear(second.weight, second.bias)) / 2
      }
      try expectClose(logits, try reference.tensor("\(size)logits"), tolerance: 1e-5)
    }
  }

  @Test(arguments: Fixture.all)
  func `the number of tokens before the patches is the reference's`(_ fixture: Fixture) throws {
    let model = try fixture.model()
    // 16 pixels and patches of 4: 16 patches.
    let tokens = try #require(try fixture.reference()["tokens"]).shape[1]
    #expect(model.prefixTokens == tokens - 16)
    #expect(model.configuration.imageSize == 16)
  }
}
