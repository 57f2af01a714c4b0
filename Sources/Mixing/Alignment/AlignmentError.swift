/// Adapters whose hidden units cannot be matched.
public enum AlignmentError: Error, Equatable, CustomStringConvertible {
  case noHiddenUnits
  case shape(String, [Int], expected: String)
  case notFinite(String)

  public var description: String {
    switch self {
    case .noHiddenUnits:
      """
      The adapter has no hidden units to match: no pair of 'down.weight' and 'up.weight', nor of 'lora_A' and \
      'lora_B'. Mix its changes of the weights instead.
      """
    case .shape(let name, let shape, let expected):
      "'\(name)' has shape \(shape); beside its other half it must be \(expected)."
    case .notFinite(let module): "'\(module)' holds NaN or infinity, so its hidden units were not matched."
    }
  }
}
