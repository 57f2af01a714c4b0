import CTorch

/// One fused Adam step over many tensors in one pass over memory, in place.
///
/// Kingma and Ba 2015, "Adam", arXiv:1412.6980, algorithm 1, with epsilon outside the square root as in PyTorch; decoupled
/// weight decay is Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", arXiv:1711.05101, algorithm 2.
public struct AdamStep: Sendable, Hashable {
  public var rate: Double
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  public var decay: Double
  /// Whether the decay shrinks the weights themselves (AdamW) or is added to their gradients (Adam).
  public var isDecoupled: Bool

  public init(
    rate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, decay: Double = 0,
    isDecoupled: Bool = false
  ) {
    self.rate = rate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.decay = decay
    self.isDecoupled = isDecoupled
  }

  /// Changes `parameters`, `means`, `squares` and `steps`, lists of the same length and, but for `steps`, of the same
  /// shapes.
  ///
  /// - Parameter steps: float32 scalars, advanced by one before they are used.
  /// - Throws: `TensorError.count` for lists of different length; `TorchError` for shapes or dtypes that differ.
  public func callAsFunction(
    parameters: [Tensor], gradients: [Tensor], means: [Tensor], squares: [Tensor], steps: [Tensor]
  ) throws {
    for list in [gradients, means, squares, steps] where list.count != parameters.count {
      throw TensorError.count(list.count, shape: [parameters.count])
    }
    guard let first = parameters.first else { return }
    try Torch.call("adam", first) { failure in
      parameters.withHandles { parameters, count in
        gradients.withHandles { gradients, _ in
          means.withHandles { means, _ in
            squares.withHandles { squares, _ in
              steps.withHandles { steps, _ in
                ct_adam_step(
                  parameters, gradients, means, squares, steps, count, rate, beta1, beta2, epsilon, decay, isDecoupled,
                  failure)
              }
            }
          }
        }
      }
    }
  }
}
