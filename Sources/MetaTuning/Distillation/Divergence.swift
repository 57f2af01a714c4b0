import Tensors

/// The divergence of a student from a target by which it is distilled.
public enum Divergence: String, Sendable, Hashable, Codable, CaseIterable {
  /// `KL(target ‖ student)`, that of Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
  case forward
  /// `KL(student ‖ target)`, what the order of the arguments in SMAT's code amounts to.
  case reverse

  /// `T² · KL`, the mean over queries, of the softmax of logits divided by `T`; a gradient goes to the student alone.
  ///
  /// The logits' gradients for one query are `T(p_s − p_t)` forward and `T · p_s ∘ (ln p_s − ln p_t − KL)` in reverse.
  ///
  /// - Parameters:
  ///   - student: `[queries, ways]`
  ///   - target: `[queries, ways]`
  public func callAsFunction(student: Tensor, target: Tensor, temperature: Double) throws -> Tensor {
    let student = try (student / temperature).logSoftmax()
    let target = try (target.detached() / temperature).logSoftmax()
    let terms =
      switch self {
      case .forward: try target.exp() * (target - student)
      case .reverse: try student.exp() * (student - target)
      }
    return try terms.sum(-1).mean() * (temperature * temperature)
  }
}
