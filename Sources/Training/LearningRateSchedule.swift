import Foundation

/// The learning rate as a function of the step: a rise from zero, then a shape.
///
/// Over the first `warmup` steps the factor rises linearly, `(step + 1) / warmup`, so that no step is taken at rate 0.
/// From there, with progress `p = (step − warmup) / (steps − warmup)` in 0...1:
///
/// | shape | factor |
/// |---|---|
/// | constant | `1` |
/// | linear | `1 − (1 − floor) · p` |
/// | cosine | `floor + (1 − floor) · (1 + cos πp) / 2` (Loshchilov and Hutter 2017, "SGDR", arXiv:1608.03983, eq. 5) |
public struct LearningRateSchedule: Sendable, Hashable {
  public enum Shape: String, Sendable, Hashable, Codable, CaseIterable {
    case constant, linear, cosine
  }

  public var shape: Shape
  /// Steps of linear rise at the start.
  public var warmup: Int
  /// The fraction of the rate that is left at the end, 0...1; without effect on `.constant`.
  public var floor: Double

  public init(_ shape: Shape = .constant, warmup: Int = 0, floor: Double = 0) {
    self.shape = shape
    self.warmup = warmup
    self.floor = floor
  }

  public static let constant = LearningRateSchedule(.constant)

  /// What the learning rate is multiplied with at a step.
  ///
  /// - Parameters:
  ///   - step: counted from 0.
  ///   - steps: of the whole run.
  public func factor(at step: Int, of steps: Int) -> Double {
    if step < warmup { return Double(step + 1) / Double(warmup) }
    guard shape != .constant else { return 1 }
    let length = max(1, steps - warmup)
    let progress = min(1, Double(step - warmup) / Double(length))
    return switch shape {
    case .constant: 1
    case .linear: 1 - (1 - floor) * progress
    case .cosine: floor + (1 - floor) * (1 + cos(.pi * progress)) / 2
    }
  }
}
