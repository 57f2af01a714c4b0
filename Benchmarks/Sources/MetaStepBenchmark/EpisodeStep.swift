import MetaTuning
import NeuralNetworks
import Peers
import Tensors
import Training

/// Steps of one contestant on fixed episodes of random images: what a step costs does not depend on the values.
@Compute
final class EpisodeStep {
  private struct Episode {
    let support: Tensor
    let query: Tensor
    let queryTargets: Tensor
  }

  private enum Weights {
    case closedForm(any MetaWeights)
    case graph(GraphExperts)
  }

  private static let ways = 5
  private static let shots = 5

  private let backbone: any Backbone
  private let weights: Weights
  private let hypernetwork: Hypernetwork?
  private let task: TaskWeights
  private let teacher: TaskWeights?
  private let episodes: [Episode]
  private let supportLabels: [Int]
  private let moments: (means: [Tensor], squares: [Tensor], steps: [Tensor])

  init(
    _ contestant: Contestant, of backbone: any Backbone, size: Int, tasks: Int, queries: Int, distills: Bool
  ) throws {
    self.backbone = backbone
    var experts: Int?
    switch contestant {
    case .dense: weights = .closedForm(try DenseOffset(of: backbone))
    case .sparse(let count):
      var settings = SparseExperts.Settings()
      settings.experts = count
      weights = .closedForm(try SparseExperts(of: backbone, settings: settings, seed: 1))
      experts = count
    case .graph(let count):
      weights = .graph(try GraphExperts(of: backbone, experts: count, seed: 1))
      experts = count
    }
    let generator = try Generator(seed: 2)
    hypernetwork = try experts.map {
      try Hypernetwork(width: backbone.featureWidth, experts: $0, preset: .recommended, generator: generator)
    }
    task = try TaskWeights(of: backbone)
    teacher = distills ? try TaskWeights(of: backbone) : nil
    supportLabels = (0..<Self.ways * Self.shots).map { $0 % Self.ways }
    episodes = try (0..<tasks).map { _ in
      Episode(
        support: try .normal([Self.ways * Self.shots, 3, size, size], from: generator),
        query: try .normal([Self.ways * queries, 3, size, size], from: generator),
        queryTargets: try Tensor((0..<Self.ways * queries).map { Int64($0 % Self.ways) }))
    }
    let values = hypernetwork?.parameters.map(\.value) ?? []
    moments = try (
      values.map { try $0.detached().zerosLike() }, values.map { try $0.detached().zerosLike() },
      values.map { _ in try .zeros([]) }
    )
  }

  func step() throws -> StepSeconds {
    var seconds = StepSeconds()
    var routes: [Tensor] = []
    var gradients: [TaskGradient] = []
    for episode in episodes {
      var mixing: [Double] = []
      if let hypernetwork {
        seconds.frozen += try timed {
          let frozen = try withoutGradients { try backbone.features(episode.support) }
          let prototypes = try Prototypes.means(of: frozen, labels: supportLabels, ways: Self.ways)
          try hypernetwork.iterate()
          routes.append(try hypernetwork.mixing(prototypes: prototypes, temperature: 1).mixing)
          mixing = try routes.last?.detached().doubles() ?? []
        }
      }
      seconds.merge += try timed {
        switch weights {
        case .closedForm(let weights): try weights.merge(mixing, into: task)
        case .graph(let experts): try experts.merge(mixing, into: task)
        }
      }
      var found: [Tensor] = []
      seconds.network += try timed { found = try self.gradients(episode) }
      switch weights {
      case .closedForm: gradients.append(TaskGradient(mixing: mixing, gradients: found))
      // The graph of a task's masks goes with its backward pass.
      case .graph(let experts):
        seconds.backward += try timed { try experts.backward(found, share: 1 / Double(episodes.count)) }
      }
    }
    var toMixing: [[Double]] = []
    seconds.backward += try timed {
      switch weights {
      case .closedForm(let weights): toMixing = try weights.backward(gradients)
      case .graph(let experts): toMixing = try experts.finishBackward()
      }
    }
    gradients = []
    seconds.update += try timed {
      try moveHypernetwork(routes, toMixing)
      switch weights {
      case .closedForm(let weights): try weights.step(factor: 1)
      case .graph(let experts): try experts.step()
      }
    }
    return seconds
  }

  /// `∂L/∂θ` of the task's weights: cross-entropy of the queries, and distillation from one step of a teacher.
  private func gradients(_ episode: Episode) throws -> [Tensor] {
    let support = try task.features(episode.support)
    let prototypes = try Prototypes.means(of: support, labels: supportLabels, ways: Self.ways)
    let query = try task.features(episode.query)
    let logits = try Prototypes.logits(query, prototypes)
    var loss = try logits.crossEntropy(episode.queryTargets)
    if let teacher {
      let rate = 5e-3
      let features = try query.detached().requiringGradient()
      let centers = try prototypes.detached().requiringGradient()
      let toward = try Prototypes.logits(features, centers).crossEntropy(episode.queryTargets)
        .gradients([features, centers])
      let toWeights = try query.gradients(task.tensors, gradient: toward[0], retain: true)
      let target = try withoutGradients {
        for (index, gradient) in toWeights.enumerated() {
          try teacher.tensors[index].copyInPlace(task.tensors[index])
          if let gradient { try teacher.tensors[index].addInPlace(gradient, scale: -rate) }
        }
        let moved = try toward[1].map { try centers - $0 * rate } ?? centers
        return try Prototypes.logits(teacher.features(episode.query), moved)
      }
      loss = try loss * 0.75 + Divergence.forward(student: logits, target: target, temperature: 2) * 0.25
    }
    try loss.backward()
    return try task.takeGradients()
  }

  private func moveHypernetwork(_ routes: [Tensor], _ toMixing: [[Double]]) throws {
    guard let hypernetwork else { return }
    for (route, gradient) in zip(routes, toMixing) {
      try route.backward(Tensor(gradient.map { Float($0) / Float(routes.count) }))
    }
    let values = hypernetwork.parameters.map(\.value)
    try AdamStep(rate: 1e-4, decay: 1e-2, isDecoupled: true)(
      parameters: values, gradients: values.map { try $0.gradient() ?? $0.detached().zerosLike() },
      means: moments.means, squares: moments.squares, steps: moments.steps)
    for value in values { try value.setGradient(nil) }
  }
}
