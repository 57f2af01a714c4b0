import Adapters
import NeuralNetworks
import Peers
import Tensors

/// What one step costs: closures that do it once and say how many seconds it took.
public struct Steps {
  public let backbone: VisionTransformer
  /// `[batch, 3, 224, 224]`
  public let images: Tensor
  private let labels: Tensor

  /// Random weights, random pixels, seven classes.
  public init(batch: Int) throws {
    backbone = try RandomBackbone.visionTransformerSmall()
    images = try .normal([batch, 3, 224, 224], from: Generator(seed: 2))
    labels = try Tensor((0..<batch).map { Int64($0 % 7) })
  }

  /// The frozen forward alone.
  public func forward(_ adaptation: any Adaptation = Frozen()) -> () throws -> Double {
    {
      try timed {
        try withoutGradients { _ = try backbone.features(images, adaptation: adaptation, pass: ForwardPass()) }
      }
    }
  }

  /// The frozen forward and the input's gradient: the floor of any training.
  public func inputGradient() throws -> () throws -> Double {
    let input = try images.clone()
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
        var loss = try trained.logits(images, pass: pass).crossEntropy(labels)
        for auxiliary in pass.auxiliaryLosses { loss = try loss + auxiliary }
        try loss.backward()
        let gradients = try values.map { try $0.gradient() ?? $0.detached().zerosLike() }
        try adam(parameters: values, gradients: gradients, means: means, squares: squares, steps: steps)
        for value in values { try value.setGradient(nil) }
      }
    }
  }
}
