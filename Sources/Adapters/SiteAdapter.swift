import NeuralNetworks
import Tensors

/// What stands at one site.
public protocol SiteAdapter: Sendable {
  /// The site's output with the adapter in place, `[…, inFeatures]` to `[…, outFeatures]`.
  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor

  /// The change of `linear` as a change of its weight and bias; nil where it depends on the input.
  func delta(of linear: Linear) throws -> SiteDelta?
}

/// A change of a linear map: `weight + ΔW`, `bias + Δb`.
public struct SiteDelta: Sendable {
  public var weight: (any WeightDelta)?
  /// `[outFeatures]`
  public var bias: Tensor?

  public init(weight: (any WeightDelta)?, bias: Tensor? = nil) {
    self.weight = weight
    self.bias = bias
  }
}

/// A change of one of the backbone's own tensors.
public protocol TensorAdapter: Sendable {
  /// The tensor to use in place of `original`, of the same shape.
  func value(of original: Tensor) throws -> Tensor
}

/// A tensor of the backbone that trains itself.
public struct TunedTensor: TensorAdapter {
  public let parameter: Parameter

  public init(_ parameter: Parameter) { self.parameter = parameter }
  public func value(of original: Tensor) -> Tensor { parameter.value }
}

/// What stands at one residual branch.
public protocol BranchAdapter: Sendable {
  /// What is added to the residual stream in place of `state.output`, `[batch, tokens, width]`.
  func output(_ state: BranchState, pass: ForwardPass) throws -> Tensor
}

/// What changes the sequence of tokens between blocks.
public protocol SequenceAdapter: Sendable {
  /// As `Adaptation.sequence`.
  func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor
}
