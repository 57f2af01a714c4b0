import Foundation

/// How much of a model is trained.
public struct ParameterCount: Equatable, Sendable, CustomStringConvertible {
  public var trainable: Int
  public var total: Int

  public init(trainable: Int, total: Int) {
    self.trainable = trainable
    self.total = total
  }

  /// The line that scripts look for in training logs:
  /// `trainable params: 1,024 || all params: 38,880 || trainable%: 2.6337`.
  public var description: String {
    let share = total > 0 ? 100 * Double(trainable) / Double(total) : 0
    return "trainable params: \(Self.grouped(trainable)) || all params: \(Self.grouped(total)) || trainable%: "
      + String(format: "%.4f", share)
  }

  /// Thousands separated by commas in every locale.
  static func grouped(_ number: Int) -> String {
    let digits = Array(String(number.magnitude))
    var text = number < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
      text.append(digit)
    }
    return text
  }
}
