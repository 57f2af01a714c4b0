import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

/// Every fixture of a text encoder against transformers, which wrote it.
@Suite struct TextTransformerParityTests {
  struct Fixture: Sendable, CustomTestStringConvertible {
    let name: String
    let poolings: [TextTransformerConfiguration.Pooling]
    var testDescription: String { name }

    init(_ name: String, hasPooler: Bool = false) {
      self.name = name
      poolings = hasPooler ? [.classToken, .mean, .pooler] : [.classToken, .mean]
    }

    var url: URL { NeuralNetworksTests.Fixture(name: "text/\(name)").url }
    func reference() throws -> SafetensorsFile { try NeuralNetworksTests.Fixture(name: "text/\(name)").reference() }

    static let all = [
      Fixture("bert", hasPooler: true), Fixture("bert-classifier", hasPooler: true),
      Fixture("bert-pretraining", hasPooler: true), Fixture("distilbert"), Fixture("distilbert-classifier"),
      Fixture("distilbert-masked"), Fixture("minilm", hasPooler: true), Fixture("roberta", hasPooler: true),
      Fixture("roberta-classifier"), Fixture("roberta-masked"),
    ]
  }

  @Test func `every fixture is tested`() throws {
    let folders = try FileManager.default.contentsOfDirectory(
      atPath: NeuralNetworksTests.Fixture(name: "text").url.path)
    #expect(folders.sorted() == Fixture.all.map(\.name))
  }

  @Test(arguments: Fixture.all, ["", "whole."])
  func `features and states are transformers', of texts of different lengths and of equal ones`(
    _ fixture: Fixture, texts: String
  ) throws {
    let reference = try fixture.reference()
    let input = try reference.tensor("\(texts)input")
    let mask = try input.select(1, 2).to(.float32).unsqueezed(-1)
    for pooling in fixture.poolings {
      let model = try TextTransformer(from: fixture.url, pooling: pooling)
      let name = pooling == .classToken ? "class_token" : pooling.rawValue
      let features = try model.features(input)
      try expectClose(features, try reference.tensor("\(texts)\(name)"), tolerance: 1e-5, "\(pooling)")
      #expect(features.shape == [input.shape[0], model.featureWidth])
      try expectClose(model.tokens(input) * mask, try reference.tensor("\(texts)tokens"), tolerance: 1e-5)
    }
  }

  @Test(arguments: Fixture.all, ["mean", "tokens", "whole.mean", "whole.tokens"])
  func `gradients with respect to the table of tokens are transformers'`(_ fixture: Fixture, output: String) throws {
    let model = try TextTransformer(from: fixture.url, pooling: .mean)
    let reference = try fixture.reference()
    let name = "embeddings.word.weight"
    let table = try #require(model.tensors.first { $0.name == name }).tensor.clone().requiringGradient()
    let texts = output.hasPrefix("whole.") ? "whole." : ""
    let input = try reference.tensor("\(texts)input")
    let adaptation = Replacing(values: [name: table])
    let found =
      output.hasSuffix("mean")
      ? try model.features(input, adaptation: adaptation, pass: ForwardPass())
      : try model.tokens(input, adaptation: adaptation) * input.select(1, 2).to(.float32).unsqueezed(-1)
    let loss = try (found * reference.tensor("\(output).weights")).sum()
    let gradient = try #require(try loss.gradients([table]).first ?? nil)
    try expectClose(gradient, try reference.tensor("\(output).table_gradient"), tolerance: 1e-4)
  }

  @Test func `a pretrained classifier on the pooler gives the reference's logits`() throws {
    let fixture = Fixture("bert-classifier", hasPooler: true)
    let model = try TextTransformer(from: fixture.url)
    let head = try #require(model.classifier)
    let reference = try fixture.reference()
    let logits = try model.features(try reference.tensor("input")).linear(head.weight, head.bias)
    try expectClose(logits, try reference.tensor("logits"), tolerance: 1e-5)
  }
}
