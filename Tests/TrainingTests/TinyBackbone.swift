import Adapters
import Datasets
import Foundation
import NeuralNetworks
import Tensors
import Training

/// The work is too small to share: threads that wait for each other would take most of the time.
private let oneThread: Void = { Threads.count = 1 }()

/// Two linear maps over tokens `[batch, 4, 6]`, then their mean: small enough to train in milliseconds.
struct TinyBackbone: Backbone {
  let sites = [
    Site(name: "blocks.0.attn.qkv", block: 0, role: .qkv, inFeatures: 6, outFeatures: 8),
    Site(name: "blocks.1.attn.qkv", block: 1, role: .qkv, inFeatures: 8, outFeatures: 8),
  ]
  let branches: [Branch] = []
  let layerNorms: [String] = []
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)]
  let featureWidth = 8
  let device = Device.cpu
  let fingerprint: String

  init(seed: UInt64 = 7) throws {
    oneThread
    let generator = try Generator(seed: seed)
    tensors = try sites.flatMap { site in
      [
        ("\(site.name).weight", try .normal([site.outFeatures, site.inFeatures], deviation: 0.4, from: generator)),
        ("\(site.name).bias", try .normal([site.outFeatures], deviation: 0.1, from: generator)),
      ]
    }
    fingerprint = "tiny-\(seed)"
  }

  func modules(at site: Site) -> [String] { [site.name] }

  func linear(at site: Site) throws -> Linear {
    guard let weight = tensors.first(where: { $0.name == "\(site.name).weight" }),
      let bias = tensors.first(where: { $0.name == "\(site.name).bias" })
    else { throw PlacementError.nothing(targets: site.name, blocks: "all") }
    return Linear(site: site, weight: weight.tensor, bias: bias.tensor)
  }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    let hidden = try adaptation.output(of: linear(at: sites[0]), input: input, pass: pass).gelu()
    return try adaptation.output(of: linear(at: sites[1]), input: hidden, pass: pass).mean(1)
  }
}

/// Three classes in three domains: a class is a direction, a domain a shift.
func tinyExamples(perClass: Int = 10, seed: UInt64 = 3) throws -> TensorExamples {
  let generator = try Generator(seed: seed)
  let directions = try Tensor.normal([3, 6], deviation: 1.5, from: generator)
  let shifts = try Tensor.normal([3, 6], deviation: 0.5, from: generator)
  var rows: [Tensor] = []
  var labels: [Int] = []
  for domain in 0..<3 {
    for label in 0..<3 {
      for _ in 0..<perClass {
        let center = try directions.select(0, label) + shifts.select(0, domain)
        rows.append(try Tensor.normal([4, 6], deviation: 0.6, from: generator) + center)
        labels.append(label)
      }
    }
  }
  return try TensorExamples(
    inputs: .stacked(rows), labels: labels, classes: ["disc", "ring", "star"], domains: ["ink", "oil", "pen"],
    counts: [Int](repeating: 3 * perClass, count: 3))
}

/// A model of `method` with a classifier for `tinyExamples`.
func tinyModel(_ method: any AdapterConfiguration = LoRA(rank: 2), seed: UInt64 = 1) throws -> AdaptedModel {
  let blocks: Blocks? = method is MixtureOfAdapters ? .all : nil
  return try Method("tiny", method, blocks: blocks).model(
    on: TinyBackbone(), classes: ["disc", "ring", "star"], seed: seed)
}

func tinyConfiguration(steps: Int = 10) -> TrainingConfiguration {
  var configuration = TrainingConfiguration(steps: steps, seed: 1)
  configuration.batchPerDomain = 8
  configuration.learningRate = 0.01
  configuration.evaluationInterval = 5
  return configuration
}

/// A mixture with noise and dropout, so that every generator of a run is in use.
func noisyMixture() -> MixtureOfAdapters {
  MixtureOfAdapters(of: .kronecker(dimension: 2), ranks: [1, 2])
}

/// A folder that goes when it does.
final class TemporaryFolder: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("training-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }
}

/// What a run did, without what depends on the clock.
struct Trace: Equatable {
  var steps: [String] = []
  var scores: [Scores] = []
  var parameters: [[Float]] = []

  init(_ run: Training) async throws {
    for try await event in run {
      switch event {
      case .step(let report):
        steps.append(
          "\(report.step) \(report.loss) \(report.crossEntropy) \(report.auxiliary) \(report.learningRate) "
            + "\(report.gradientNorm)")
      case .evaluated(let evaluation): scores.append(evaluation)
      case .finished(let result): parameters = try result.model.parameters.map { try $0.value.floats() }
      case .started, .resumed, .checkpoint: break
      }
    }
  }
}
