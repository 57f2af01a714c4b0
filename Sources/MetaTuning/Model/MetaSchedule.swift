import Foundation

/// What all learning rates of meta-tuning are multiplied with: offsets, masks, multipliers and hypernetwork alike.
public enum MetaSchedule: String, Sendable, Hashable, Codable, CaseIterable {
  /// A linear rise, then 1.
  case constant
  /// A linear rise, then half a cosine to 0 over the rest of the steps.
  case cosine
  /// That of the published code: by epochs of 2,000 tasks, `e / 5` over five of them, then `½(1 + cos(π(e − 5) / 45))`, whatever
  /// the length of the run. Its first epoch trains nothing; the code has a rate of 1e-6 there.
  case officialEpochs = "official_epochs"

  static let officialEpoch = 2_000

  /// - Parameters:
  ///   - step: counted from 0.
  ///   - steps: of the whole run.
  ///   - warmup: the part of the steps that the rise takes.
  public func factor(atStep step: Int, of steps: Int, tasksPerStep: Int, warmup: Double) -> Double {
    if self == .officialEpochs {
      return Self.officialFactor(inEpoch: Int(Double(step) * Double(tasksPerStep)) / Self.officialEpoch)
    }
    let rise = Int((warmup * Double(steps)).rounded())
    if step < rise { return Double(step + 1) / Double(rise) }
    guard self == .cosine else { return 1 }
    let progress = min(1, Double(step - rise) / Double(max(1, steps - rise)))
    return (1 + cos(.pi * progress)) / 2
  }

  static func officialFactor(inEpoch epoch: Int) -> Double {
    epoch < 5 ? Double(epoch) / 5 : (1 + cos(.pi * min(1, Double(epoch - 5) / 45))) / 2
  }
}
