import Adapters
import Foundation
import NeuralNetworks
import Studies
import Tensors
import Training

/// The work is too small to share: threads that wait for each other would take most of the time.
private let oneThread: Void = { Threads.count = 1 }()

/// The frozen network of the toy experiment: `x = tanh(W·input)`, then blocks `x ← x + relu(V·x)`, on one token. An
/// adapter may stand at each block's branch or change its map.
struct ResidualNet: Backbone {
  let sites: [Site]
  let branches: [Branch]
  let layerNorms: [String] = []
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)]
  let featureWidth: Int
  let device = Device.cpu
  let fingerprint: String

  init(inputs: Int = 20, width: Int = 48, blocks: Int = 3, seed: UInt64 = 5) throws {
    oneThread
    featureWidth = width
    sites = (0..<blocks).map {
      Site(name: "blocks.\($0).mlp.fc1", block: $0, role: .fc1, inFeatures: width, outFeatures: width)
    }
    branches = (0..<blocks).map { Branch(name: "blocks.\($0).mlp", block: $0, kind: .mlp, width: width) }
    let generator = try Generator(seed: seed)
    tensors =
      [("stem", try .normal([width, inputs], deviation: 1 / Double(inputs).squareRoot(), from: generator))]
      + (try sites.map {
        ("\($0.name).weight", try .normal([width, width], deviation: 1 / Double(width).squareRoot(), from: generator))
      })
    fingerprint = "residual-net-\(inputs)-\(width)-\(blocks)-\(seed)"
  }

  func modules(at site: Site) -> [String] { [site.name] }

  func linear(at site: Site) throws -> Linear {
    guard let weight = tensors.first(where: { $0.name == "\(site.name).weight" }) else {
      throw PlacementError.nothing(targets: site.name, blocks: "all")
    }
    return Linear(site: site, weight: weight.tensor, bias: nil)
  }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    var x = try input.linear(tensors[0].tensor).tanh().unsqueezed(1)
    for (site, branch) in zip(sites, branches) {
      let output = try adaptation.output(of: linear(at: site), input: x, pass: pass).relu()
      let state = BranchState(input: x, stream: x, output: output)
      x = try x + adaptation.output(of: branch, state, pass: pass)
    }
    return try x.select(1, 0)
  }
}

/// Binary domains whose teachers share a component: the label of an input is the sign of a teacher on random features
/// of it, and teacher `i` is `cos θᵢ · shared + sin θᵢ · own`.
func toyDomains(angles: [Double], training: Int, test: Int, seed: UInt64 = 11) throws -> [StudyDomain] {
  let generator = try Generator(seed: seed)
  let features = try Tensor.normal([32, 20], deviation: 0.3, from: generator)
  let shared = try Tensor.normal([1, 32], from: generator)
  return try angles.enumerated().map { index, angle in
    let own = try Tensor.normal([1, 32], from: generator)
    let teacher = try shared * cos(angle) + own * sin(angle)
    let inputs = try Tensor.normal([training + test, 20], from: generator)
    let scores = try inputs.linear(features).tanh().linear(teacher).floats()
    let examples = try TensorExamples(
      inputs: inputs, labels: scores.map { $0 > 0 ? 1 : 0 }, classes: ["below \(index)", "above \(index)"],
      domains: ["domain \(index)"], counts: [training + test])
    return try StudyDomain(
      "domain \(index)", examples, training: Array(0..<training), test: Array(training..<training + test))
  }
}

/// A bottleneck of 12 hidden units after each block.
func toyBottleneck(width: Int = 12) -> Pfeiffer {
  var configuration = Pfeiffer(width: width)
  configuration.input = .sum
  return configuration
}

func toyRecipe(steps: Int) -> TrainingConfiguration {
  var recipe = TrainingConfiguration(steps: steps)
  recipe.batchPerDomain = 64
  recipe.learningRate = 3e-3
  recipe.evaluationBatch = 1_000
  recipe.augmentation = nil
  return recipe
}

/// A folder that goes when it does.
final class TemporaryFolder: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("studies-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }
}
