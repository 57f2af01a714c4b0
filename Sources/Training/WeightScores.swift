import Adapters
import NeuralNetworks
import Tensors

/// The scores of `SparsitySettings`, of an adapter's weights as they are.
@Compute
struct WeightScores {
  let model: AdaptedModel
  /// The matrices that may be pruned.
  let weights: [Parameter]
  private let batches: [Batch]
  private let configuration: TrainingConfiguration

  init(of model: AdaptedModel, on batches: [Batch], _ configuration: TrainingConfiguration) {
    self.model = model
    self.batches = batches
    var configuration = configuration
    // Differences of gradients are lost in bfloat16.
    configuration.precision = .float32
    self.configuration = configuration
    weights = Self.weights(of: model.adapter)
  }

  static func weights(of adapter: Adapter) -> [Parameter] {
    adapter.parameters.filter(\.isWeight)
  }

  /// One tensor for each of the weights, in its shape.
  ///
  /// - Parameter mayBeZero: whether a matrix may have scores of 0 alone, as where weights were removed before: one that is
  ///   empty by now has no others, nor has its neighbour, through which nothing flows any more.
  /// - Throws: `SparsityError.noScores`, `.notFinite`
  func callAsFunction(_ score: SparsitySettings.Score, _ generator: Generator, mayBeZero: Bool = false) throws
    -> [Tensor]
  {
    let scores =
      switch score {
      case .random: try weights.map { try Tensor.uniform($0.value.shape, from: generator).to($0.value.device) }
      case .magnitude: try weights.map { try $0.value.detached().abs() }
      case .snip: try zip(weights, gradients()).map { try ($0.value.detached() * $1).abs() }
      case .grasp: try zip(weights, hessianGradients()).map { try $0.value.detached() * $1 }
      case .synflow: try flows()
      }
    for (weight, score_) in zip(weights, scores) {
      guard try score_.isAllFinite() else { throw SparsityError.notFinite(weight.name, score) }
      guard try mayBeZero || score_.abs().max().item() > 0 else {
        throw SparsityError.noScores(weight.name, score)
      }
    }
    return scores
  }

  // MARK: Data

  /// Of the mean loss over the batches.
  private func gradients() throws -> [Tensor] {
    let sums = try weights.map { try $0.value.detached().zerosLike() }
    let count = batches.reduce(0) { $0 + $1.count }
    for part in try batches.flatMap({ try $0.parts(configuration.accumulation) }) {
      let (loss, _) = try TrainingLoop.loss(of: part, model, .evaluation, configuration)
      for (sum, gradient) in zip(sums, try loss.gradients(weights.map(\.value))) {
        if let gradient { try sum.addInPlace(gradient, scale: Double(part.count) / Double(count)) }
      }
    }
    return sums
  }

  /// `Hg = (∇L(w + εg) − ∇L(w − εg)) / 2ε`, with a step `εg` of a hundredth of the length of `w`.
  private func hessianGradients() throws -> [Tensor] {
    let direction = try gradients()
    let length = try norm(direction)
    guard length > 0 else { return direction }
    let size = try norm(weights.map { try $0.value.detached() })
    let step = 0.01 * (size > 0 ? size : 1) / length
    func moved(by offset: Double) throws -> [Tensor] {
      try restoring(weights) {
        try withoutGradients {
          for (weight, gradient) in zip(weights, direction) { try weight.value.addInPlace(gradient, scale: offset) }
        }
        return try gradients()
      }
    }
    return try zip(moved(by: step), moved(by: -step)).map { try ($0 - $1) * (1 / (2 * step)) }
  }

  private func norm(_ tensors: [Tensor]) throws -> Double {
    try tensors.reduce(0.0) { try $0 + ($1 * $1).to(.float64).sum().item() }.squareRoot()
  }

  // MARK: Ones

  /// As the paper's code does it, every adapted place by itself: through the network LayerNorms would make zeros of ones.
  private func flows() throws -> [Tensor] {
    try restoring(model.adapter.parameters) {
      try withoutGradients {
        for parameter in model.adapter.parameters { try parameter.value.copyInPlace(parameter.value.abs()) }
      }
      let pass = ForwardPass()
      let device = model.backbone.device
      var outputs: [Tensor] = []
      for site in model.adapter.sites {
        let linear = try model.backbone.linear(at: site)
        let ones = try Tensor.ones([1, 1, site.inFeatures], device: device)
        outputs.append(try model.adapter.output(of: linear, input: ones, pass: pass).sum())
      }
      for branch in model.backbone.branches {
        let ones = try Tensor.ones([1, 1, branch.width], device: device)
        let state = BranchState(input: ones, stream: ones, output: ones)
        outputs.append(try model.adapter.output(of: branch, state, pass: pass).sum())
      }
      let flow = try Tensor.stacked(outputs).sum()
      guard flow.requiresGradient else { return try weights.map { try $0.value.detached().zerosLike() } }
      return try zip(weights, flow.gradients(weights.map(\.value))).map { weight, gradient in
        try gradient.map { try (weight.value.detached() * $0).abs() } ?? weight.value.detached().zerosLike()
      }
    }
  }

  /// What `body` does to the values is undone, bit for bit.
  private func restoring<Value>(_ parameters: [Parameter], _ body: () throws -> Value) throws -> Value {
    let originals = try parameters.map { try $0.value.detached().clone() }
    let result = Result { try body() }
    try withoutGradients {
      for (parameter, original) in zip(parameters, originals) { try parameter.value.copyInPlace(original) }
    }
    return try result.get()
  }
}
