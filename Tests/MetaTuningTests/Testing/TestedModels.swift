import Adapters
import Datasets
import NeuralNetworks
import Tensors
import Training

@testable import MetaTuning

extension Tiny {
  /// A model whose offsets and masks are drawn, as if it had trained.
  @Compute
  static func tuned(_ method: MetaMethod = .smat, on backbone: any Backbone, seed: UInt64 = 6) throws -> MetaModel {
    let model = try MetaModel(of: backbone, configuration: configuration(method))
    let generator = try Generator(seed: seed)
    try withoutGradients {
      for (name, tensor) in model.state where name.contains("offset") {
        try tensor.copyInPlace(.normal(tensor.shape, deviation: 0.05, from: generator.derived(name)))
      }
      for (name, tensor) in model.state where name.contains("logits") {
        try tensor.copyInPlace(.normal(tensor.shape, mean: -3.5, deviation: 2, from: generator.derived(name)))
      }
    }
    try model.weights.stateChanged()
    return model
  }

  /// Ten episodes of the classes that `sampler` leaves, as a data set of training's own, and of those it takes.
  static func test(_ examples: TensorExamples, count: Int = 10, seed: UInt64 = 1) throws -> MetaTest {
    try MetaTest(
      [pool("seen", of: examples, classes: 0..<6), pool("new", of: examples, classes: 4..<10)], inDomain: ["seen"],
      on: examples, episodes: .fixed(ways: 4, shots: 2, queries: 3), count: count, seed: seed)
  }
}
