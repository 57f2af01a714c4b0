import Foundation
import NeuralNetworks

extension Benchmark {
  /// A search for learning rates: every method with every rate of one grid, on one fold, equal for all of them.
  ///
  /// One target and one trial, that of the configuration's seeds; `BenchmarkReport.learningRates()` then chooses by the
  /// held-out images of the sources alone.
  ///
  /// - Parameter target: the domain left out while tuning.
  public static func learningRateSearch(
    _ grid: [Double], for methods: [Method], backbone: any Backbone, on examples: any Examples, dataset: String,
    target: String, configuration: TrainingConfiguration, output: URL, store: FeatureStore = FeatureStore()
  ) throws -> Benchmark {
    try Benchmark(
      of: methods, backbone: backbone, on: examples, dataset: dataset, targets: [target], trials: 1,
      configuration: configuration, learningRates: grid, output: output, store: store)
  }
}

extension [Method] {
  /// The same methods with the rates found for them.
  public func with(learningRates: [String: Double]) -> [Method] {
    map { method in
      var tuned = method
      tuned.learningRate = learningRates[method.name] ?? method.learningRate
      return tuned
    }
  }
}
