import Adapters
import NeuralNetworks
import Peers
import Tensors

/// What one step costs: closures that do it once and say how many seconds it took.
public struct Steps<Network: Backbone> {
  public let backbone: Network
  /// `[batch, …]`
  public let inputs: Tensor
  private let labels: Tensor

  /// Seven classes.
  public init(_ backbone: Network, on inputs: Tensor) throws {
    self.backbone = backbone
    self.inputs = inputs
    labels = try Tensor((0..<inputs.shape[0]).map { Int64($0 % 7) })
  }

  /// The frozen forward alone.
  public func forward(_ adaptation: any Adaptation = Frozen()) -> () throws -> Double {
    {
      try timed {
        try withoutGradients { _ = try backbone.features(inputs, adaptation: adaptation, pass: ForwardPass()) }
      }
    }
  }

  /// The frozen forward and the input's gradient: the floor of any training.
  public func inputGradient() throws -> () throws -> Double {
    let input = try inputs.clone()
    try input.requiringGradient()
    return {
      try timed {
        try backbone.features(input).sum().backward()
        try input.setGradient(nil)
      }
    }
  }

  /// Forward, cross-entropy, backward, Adam.
  public func training(_ adapted: AdaptedModel) throws -> () throws -> Double {
    var model = adapted
    model.head = try Head(
      classes: (0..<7).map(String.init), features: model.backbone.featureWidth, generator: Generator(seed: 3))
    let trained = model
    let values = trained.parameters.map(\.value)
    let means = try values.map { try $0.detached().zerosLike() }
    let squares = try values.map { try $0.detached().zerosLike() }
    let steps = try values.map { _ in try Tensor.zeros([]) }
    let adam = AdamStep(rate: 5e-5)
    let generator = try Generator(seed: 4)
    return {
      try timed {
        let pass = ForwardPass(.training(generator))
        var loss = try trained.logits(inputs, pass: pass).crossEntropy(labels)
        for auxiliary in pass.auxiliaryLosses { loss = try loss + auxiliary }
        try loss.backward()
        let gradients = try values.map { try $0.gradient() ?? $0.detached().zerosLike() }
        try adam(parameters: values, gradients: gradients, means: means, squares: squares, steps: steps)
        for value in values { try value.setGradient(nil) }
      }
    }
  }
}

extension Steps<VisionTransformer> {
  /// ViT-S/16 of random weights on random pixels, `[batch, 3, 224, 224]`.
  public init(batch: Int) throws {
    try self.init(
      RandomBackbone.visionTransformerSmall(), on: .normal([batch, 3, 224, 224], from: Generator(seed: 2)))
  }
}

extension Steps<TextTransformer> {
  /// MiniLM-L6 of random weights on random tokens, `[batch, 3, length]`, none of them padding.
  public init(batch: Int, length: Int) throws {
    let generator = try Generator(seed: 2)
    let ids = try Tensor.uniform([batch, 1, length], 1, 30_522, from: generator).to(.int64)
    let zeros = try Tensor.zeros([batch, 1, length], dtype: .int64)
    try self.init(
      RandomBackbone.miniLM(), on: .concatenated([ids, zeros, zeros + 1], dimension: 1))
  }
}
