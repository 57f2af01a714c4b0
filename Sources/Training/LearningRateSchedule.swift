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
///
/// The shape `cosineByEpoch` is that of timm's trainers: the rate changes between epochs only, the cosine runs over the
/// whole run, its first part hidden by the rise, and an epoch trains at the rate of the one before it. With `e` the
/// epoch, `t = max(0, e − 1)`, `W` the epochs of the rise and `T` all of them, the factor is `start + (1 − start) · t / W` for
/// `t < W`, then `floor + (1 − floor) · (1 + cos πt/T) / 2`.
public struct LearningRateSchedule: Sendable, Hashable {
  public enum Shape: String, Sendable, Hashable, Codable, CaseIterable {
    case constant, linear, cosine, cosineByEpoch
  }

  public var shape: Shape
  /// Steps of linear rise at the start.
  public var warmup: Int
  /// The fraction of the rate that is left at the end, 0...1; without effect on `.constant`.
  public var floor: Double
  /// The fraction of the rate that a rise of `.cosineByEpoch` starts from, 0...1.
  public var start: Double
  /// Steps of one epoch, at least 1; of effect on `.cosineByEpoch` only.
  public var epoch: Int

  public init(
    _ shape: Shape = .constant, warmup: Int = 0, floor: Double = 0, start: Double = 0, epoch: Int = 1
  ) {
    self.shape = shape
    self.warmup = warmup
    self.floor = floor
    self.start = start
    self.epoch = epoch
  }

  public static let constant = LearningRateSchedule(.constant)

  /// That of the Consolidator's released scripts (arXiv:2305.00603): a rise from 1e-6 over 10 epochs to the learning rate,
  /// then to 1e-5.
  ///
  /// - Parameters:
  ///   - learningRate: as set in the configuration, more than 0.
  ///   - epoch: the steps of one epoch; 1,000 images in whole batches of 64 are 15.
  public static func consolidator(learningRate: Double, epoch: Int = 15) -> LearningRateSchedule {
    LearningRateSchedule(
      .cosineByEpoch, warmup: 10 * epoch, floor: 1e-5 / learningRate, start: 1e-6 / learningRate, epoch: epoch)
  }

  /// What the learning rate is multiplied with at a step.
  ///
  /// - Parameters:
  ///   - step: counted from 0.
  ///   - steps: of the whole run.
  public func factor(at step: Int, of steps: Int) -> Double {
    if shape == .cosineByEpoch { return factor(inEpoch: step / max(1, epoch), of: steps) }
    if step < warmup { return Double(step + 1) / Double(warmup) }
    guard shape != .constant else { return 1 }
    let length = max(1, steps - warmup)
    let progress = min(1, Double(step - warmup) / Double(length))
    return switch shape {
    case .constant, .cosineByEpoch: 1
    case .linear: 1 - (1 - floor) * progress
    case .cosine: floor + (1 - floor) * (1 + cos(.pi * progress)) / 2
    }
  }

  private func factor(inEpoch index: Int, of steps: Int) -> Double {
    let (length, past) = (Double(max(1, epoch)), Double(max(0, index - 1)))
    let rise = Double(warmup) / length
    if past < rise { return start + (1 - start) * past / rise }
    let epochs = max(1, (Double(steps) / length).rounded(.up))
    return floor + (1 - floor) * (1 + cos(.pi * min(1, past / epochs))) / 2
  }
}
