/// Offsets that cannot be made, merged or moved.
public enum MetaWeightsError: Error, Equatable, CustomStringConvertible {
  case noExperts(Int)
  case sparsity(Double)
  case density(Double)
  case emptyPattern(String, known: [String])
  case dtype(String, tensor: String)
  case mixing(Int, experts: Int)
  case tensors(Int, expected: Int)
  case noTasks
  case noGradient
  case notFinite(tensor: String)
  case missing(String)
  case unknown(String)
  case shape(String, found: [Int], expected: [Int])

  public var description: String {
    switch self {
    case .noExperts(let count): "\(count) experts were asked for. At least 1 and at most 4096 are possible."
    case .sparsity(let target):
      """
      The masks' target is a sparsity of \(target); it must lie above 0 and below 1. \
      \(target >= 1
        ? "At 1 every gate is closed and nothing is left of the offset: 0.9 to 0.99 is usual."
        : "For masks that train without a target leave it out (nil); for an offset without masks use dense meta-tuning (pmf).")
      """
    case .density(let density):
      "A random mask was asked for that keeps \(density) of the weights; it must lie above 0 and be at most 1."
    case .emptyPattern(let pattern, let known):
      """
      The mask '\(pattern)' keeps nothing of this backbone, whose tensors are \(known.prefix(8).joined(separator: ", ")) … \
      Use another pattern.
      """
    case .dtype(let dtype, let tensor):
      "'\(tensor)' is \(dtype), and offsets are trained in float32 or float64. Read the backbone in one of these."
    case .mixing(let count, let experts):
      "\(count) mixing weights were given for \(experts) experts. Give one for each."
    case .tensors(let count, let expected):
      "\(count) tensors were given for the \(expected) of the backbone. Use a TaskWeights of the same backbone."
    case .noTasks: "A step needs the gradients of at least one task."
    case .noGradient: "A step was asked for before any gradient. Call backward first, once for each step."
    case .notFinite(let tensor):
      """
      The gradient at '\(tensor)' holds NaN or infinity; nothing was changed. Lower the learning rates, or train in float32.
      """
    case .missing(let name): "The file lacks '\(name)', which these experts need. Read the file they were written to."
    case .unknown(let name):
      "The file holds '\(name)', which belongs to no tensor of this backbone. Use the backbone it was made for."
    case .shape(let name, let found, let expected):
      "'\(name)' has the shape \(found) in the file and \(expected) here. Use the backbone it was made for."
    }
  }
}
