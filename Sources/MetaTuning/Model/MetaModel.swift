import NeuralNetworks
import Tensors
import Training

/// A frozen backbone with what meta-tuning trains beside it: made once, then adapted to each task by a few labelled examples.
///
/// ```swift
/// let model = try await MetaModel(of: backbone, configuration: MetaConfiguration(.smat))
/// try await MetaTraining(of: model, on: examples, sampler: sampler).finish()
/// let task = try await TaskWeights(of: backbone)
/// let mixing = try await model.adapt(support: images, labels: labels, ways: 5, into: task)
/// ```
@Compute
public final class MetaModel {
  public nonisolated let backbone: any Backbone
  public nonisolated let configuration: MetaConfiguration
  public let weights: any MetaWeights
  /// nil where no task differs from another in how experts are mixed.
  public let hypernetwork: Hypernetwork?
  /// `n`, the training tasks so far: the temperature depends on it, in testing too.
  public internal(set) var tasksSeen = 0
  /// nil where nothing is recorded: for a model that has not trained, or a file that does not say.
  public internal(set) var trainedOn: TrainedClasses?

  /// A model that has not trained: every task's weights are the backbone's. The same seed gives the same model.
  ///
  /// - Parameter seed: nil takes the configuration's.
  /// - Throws: `MetaConfigurationError`; `MetaWeightsError` where the experts do not fit the backbone; `HypernetworkError`.
  public init(of backbone: any Backbone, configuration: MetaConfiguration, seed: UInt64? = nil) throws {
    var configuration = configuration
    configuration.seed = seed ?? configuration.seed
    try configuration.validate()
    self.backbone = backbone
    self.configuration = configuration
    weights = try Self.weights(of: backbone, configuration)
    hypernetwork =
      configuration.isRouted
      ? try Hypernetwork(
        width: backbone.featureWidth, experts: configuration.experts, preset: configuration.preset,
        generator: Generator(seed: configuration.seed).derived("hypernetwork"), device: backbone.device,
        dtype: backbone.tensors.first?.tensor.dtype ?? .float32) : nil
  }

  private static func weights(of backbone: any Backbone, _ configuration: MetaConfiguration) throws -> any MetaWeights {
    var dense = DenseOffset.Settings()
    dense.deltaRate = configuration.deltaRate
    dense.momentum = configuration.deltaMomentum
    dense.deltaDecay = configuration.deltaDecay
    var sparse = SparseExperts.Settings()
    sparse.experts = configuration.expertCount
    sparse.sparsity = configuration.sparsity
    sparse.deltaRate = configuration.deltaRate
    sparse.momentum = configuration.deltaMomentum
    sparse.deltaDecay = configuration.deltaDecay
    sparse.maskRate = configuration.maskRatePerWeight
    sparse.maskClip = configuration.maskClip
    sparse.multiplierRate = configuration.multiplierRate
    switch configuration.method {
    case .pmf: return try DenseOffset(of: backbone, settings: dense)
    case .softMerge: return try DenseExperts(of: backbone, experts: configuration.experts, settings: dense)
    case .smat, .singleExpert: break
    case .randomMasks: sparse.masks = .random(density: 1 - (configuration.sparsity ?? 0))
    case .biasAndNorms: sparse.masks = .biasesAndNorms
    case .attention: sparse.masks = .attention
    case .lastBlocks: sparse.masks = .lastBlocks(configuration.lastBlocks)
    }
    return try SparseExperts(of: backbone, settings: sparse, seed: configuration.seed)
  }

  // MARK: One task

  /// α of a task, without noise; all of a single expert, nothing where there are none.
  ///
  /// - Parameter prototypes: `[ways, featureWidth]`, of the frozen backbone; see `Prototypes.means`.
  public func mixing(prototypes: Tensor) throws -> [Double] {
    guard let hypernetwork else { return [Double](repeating: 1, count: weights.expertCount) }
    return try withoutGradients {
      try hypernetwork.mixing(
        prototypes: prototypes, temperature: configuration.temperature(after: tasksSeen)
      ).mixing.doubles()
    }
  }

  /// Writes the weights of the task that a support set is of.
  ///
  /// The gates are the median's in `.recommended`, and the estimator's in `.paper` and `.officialCode`, which train with the median
  /// and test with the other.
  ///
  /// - Parameters:
  ///   - support: `[examples, …]`
  ///   - labels: the class of each, `0 ..< ways`.
  ///   - frozenFeatures: `[examples, featureWidth]` of the frozen backbone, where they are known already.
  /// - Returns: α
  /// - Throws: `PrototypeError` for a class without support.
  @discardableResult
  public func adapt(
    support: Tensor, labels: [Int], ways: Int, frozenFeatures: Tensor? = nil, into task: TaskWeights
  ) throws -> [Double] {
    var mixing = [Double](repeating: 1, count: weights.expertCount)
    if hypernetwork != nil {
      let features = try frozenFeatures ?? self.frozenFeatures(support)
      mixing = try self.mixing(prototypes: Prototypes.means(of: features, labels: labels, ways: ways))
    }
    let experts = weights as? SparseExperts
    if configuration.preset != .recommended { experts?.gate = .estimator }
    defer { experts?.gate = .median }
    try weights.merge(mixing, into: task)
    return mixing
  }

  /// `[batch, …]` to `[batch, featureWidth]` by a task's weights, in the configuration's precision.
  public func features(_ input: Tensor, by task: TaskWeights) throws -> Tensor {
    try backbone.features(input, precision: configuration.precision) { try task.features($0) }
  }

  /// `[batch, …]` to `[batch, featureWidth]` by the frozen backbone, outside the graph.
  public func frozenFeatures(_ input: Tensor) throws -> Tensor {
    try withoutGradients {
      try backbone.features(input, precision: configuration.precision) { try backbone.features($0) }
    }
  }

  // MARK: State

  /// Everything that training changes, by name, in a fixed order; the tensors share memory.
  public var state: [(name: String, tensor: Tensor)] {
    weights.state.map { ("weights.\($0.name)", $0.tensor) }
      + (hypernetwork?.state ?? []).map { ("hypernetwork.\($0.name)", $0.tensor) }
  }

  /// A copy of `state`, of the count of tasks and of the classes that were trained on.
  public func snapshot() throws -> Snapshot {
    try withoutGradients {
      Snapshot(
        tensors: try state.map { ($0.name, try $0.tensor.detached().clone()) }, tasksSeen: tasksSeen,
        trainedOn: trainedOn)
    }
  }

  /// Goes back to a snapshot.
  ///
  /// - Throws: `MetaModelError` unless its names, shapes and types are exactly this model's.
  public func restore(_ snapshot: Snapshot) throws {
    try restore(
      Dictionary(snapshot.tensors.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first }),
      tasksSeen: snapshot.tasksSeen, trainedOn: snapshot.trainedOn)
  }

  public struct Snapshot: Sendable {
    public let tensors: [(name: String, tensor: Tensor)]
    public let tasksSeen: Int
    public let trainedOn: TrainedClasses?

    /// Without what only training goes on from: the momentum of the offsets.
    var finished: Snapshot {
      Snapshot(
        tensors: tensors.filter { !MetaModel.isMomentum($0.name) }, tasksSeen: tasksSeen, trainedOn: trainedOn)
    }
  }

  nonisolated static func isMomentum(_ name: String) -> Bool { name.hasPrefix("weights.momentum.") }

  /// - Parameter isResumed: whether training goes on as if it had not stopped, for which a finished model holds too little.
  func restore(_ saved: SavedModel, isResumed: Bool) throws {
    var tensors = try saved.tensors()
    if !isResumed, !tensors.keys.contains(where: Self.isMomentum) {
      for (name, tensor) in state where Self.isMomentum(name) { tensors[name] = try tensor.zerosLike() }
    }
    try restore(tensors, tasksSeen: saved.tasksSeen, trainedOn: saved.trainedOn)
  }

  private func restore(_ tensors: [String: Tensor], tasksSeen: Int, trainedOn: TrainedClasses?) throws {
    let own = state
    let missing = own.filter { tensors[$0.name] == nil }.map(\.name)
    let unknown = Set(tensors.keys).subtracting(own.map(\.name)).sorted()
    guard missing.isEmpty, unknown.isEmpty else { throw MetaModelError.tensors(missing: missing, unknown: unknown) }
    for (name, tensor) in own {
      guard let saved = tensors[name], saved.shape == tensor.shape, saved.dtype == tensor.dtype else {
        throw MetaModelError.shape(
          name, found: tensors[name]?.summary ?? "nothing", expected: tensor.summary)
      }
    }
    try withoutGradients {
      for (name, tensor) in own {
        if let saved = tensors[name] { try tensor.copyInPlace(saved) }
      }
    }
    self.tasksSeen = tasksSeen
    self.trainedOn = trainedOn
    try weights.stateChanged()
  }
}
