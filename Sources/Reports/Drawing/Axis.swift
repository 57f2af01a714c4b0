import Foundation

/// Maps numbers to positions along a line, with ticks at round numbers.
struct Axis: Equatable {
  var range: ClosedRange<Double>
  /// Round numbers inside `range`.
  var ticks: [Double]
  private var decimals: Int

  /// An axis over all finite `values`, widened to the next ticks, or exactly over `range` where one is given.
  init(covering values: [Double], including fixed: Double? = nil, range: ClosedRange<Double>? = nil, tickCount: Int = 5)
  {
    let values = (values + (fixed.map { [$0] } ?? [])).filter { $0.isFinite && $0.magnitude < 1e100 }
    var low = range?.lowerBound ?? values.min() ?? 0
    var high = range?.upperBound ?? values.max() ?? 1
    if !(high - low > 1e-12 * max(low.magnitude, high.magnitude, 1e-90)) {
      // A single value has no extent of its own.
      let margin = low == 0 ? 1 : low.magnitude * 0.1
      if fixed == nil || low != fixed { low -= margin }
      high += margin
    }
    let step = Self.roundStep((high - low) / Double(max(1, tickCount)))
    if range == nil {
      low = (low / step + 1e-9).rounded(.down) * step
      high = (high / step - 1e-9).rounded(.up) * step
    }
    let first = (low / step - 1e-9).rounded(.up)
    ticks = (0...40).map { (first + Double($0)) * step }.filter { $0 <= high + 1e-9 * step }
    self.range = low...high
    decimals =
      (0...9).first { places in
        let scaled = step * pow(10, Double(places))
        return (scaled - scaled.rounded()).magnitude < 1e-6
      } ?? 9
  }

  /// 1, 2, 2.5 or 5 times a power of ten, at least `step`.
  private static func roundStep(_ step: Double) -> Double {
    let power = pow(10, log10(step).rounded(.down))
    return ([1, 2, 2.5, 5].first { $0 * power >= step * (1 - 1e-9) } ?? 10) * power
  }

  /// `0` at the lower end, `1` at the upper; what lies outside is brought to the nearer end.
  func fraction(_ value: Double) -> Double {
    let clamped = min(max(value, range.lowerBound), range.upperBound)
    return (clamped - range.lowerBound) / (range.upperBound - range.lowerBound)
  }

  func label(_ tick: Double) -> String {
    if tick.magnitude >= 1e6 || range.upperBound - range.lowerBound < 1e-7 { return String(format: "%g", tick) }
    let text = String(format: "%.\(decimals)f", tick)
    return Double(text) == 0 && text.hasPrefix("-") ? String(text.dropFirst()) : text
  }
}
