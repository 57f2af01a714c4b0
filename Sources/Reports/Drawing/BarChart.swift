/// Grouped bars with error bars: methods side by side on each target domain.
public struct BarChart: Equatable, Sendable {
  public var title: String
  public var verticalLabel: String
  /// What stands under the groups.
  public var groups: [String]
  public var series: [Series]
  /// The vertical axis; by default from zero, since bars are compared by their length.
  public var range: ClosedRange<Double>?
  /// Pixels.
  public var width: Double = 760

  public struct Series: Equatable, Sendable {
    public var name: String
    /// One per group; `nil` leaves a gap.
    public var bars: [Bar?]

    public init(name: String, bars: [Bar?]) {
      self.name = name
      self.bars = bars
    }
  }

  public struct Bar: Equatable, Sendable {
    public var value: Double
    /// Half the length of the error bar; `nil` draws none.
    public var error: Double?

    public init(_ value: Double, error: Double? = nil) {
      self.value = value
      self.error = error
    }
  }

  public init(
    title: String, verticalLabel: String, groups: [String], series: [Series], range: ClosedRange<Double>? = nil
  ) {
    self.title = title
    self.verticalLabel = verticalLabel
    self.groups = groups
    self.series = series
    self.range = range
  }

  /// A table as a chart, in per cent: a group per target domain and one for the average, a series per method.
  public init(_ table: ResultTable, range: ClosedRange<Double>? = nil) {
    self.init(
      title: table.title, verticalLabel: "accuracy (%)", groups: table.columns + ["Avg"],
      series: table.rows.map { row in
        Series(
          name: row.label,
          bars: (row.cells + [row.average]).map { estimate in
            estimate.map { Bar(100 * $0.mean, error: $0.standardError.map { 100 * $0 }) }
          })
      }, range: range)
  }

  /// The drawing. Values that are not finite leave a gap.
  public var svg: String {
    let ends = series.flatMap(\.bars).compactMap(\.self).flatMap { [$0.value, $0.value + ($0.error ?? 0)] }
    let axis = Axis(covering: ends, including: 0, range: range)
    // Slanted names where level ones would run into each other.
    let widest = groups.map { SVG.width(of: $0, size: 12) }.max() ?? 0
    let isSlanted = widest > (width - 100) / Double(max(1, groups.count)) - 6
    var plot = Plot(
      title: title, legend: series.enumerated().map { ($1.name, Palette.color($0)) }, vertical: axis,
      verticalLabel: verticalLabel, width: width, plotHeight: 260, bottom: isSlanted ? 30 + 0.6 * widest : 36)

    let groupWidth = plot.width / Double(max(1, groups.count))
    let barWidth = min(34, 0.84 * groupWidth / Double(max(1, series.count)))
    let base = plot.y(max(axis.range.lowerBound, min(0, axis.range.upperBound)))
    for (group, name) in groups.enumerated() {
      let center = plot.left + groupWidth * (Double(group) + 0.5)
      let first = center - barWidth * Double(series.count) / 2
      for (index, series) in series.enumerated() {
        guard series.bars.indices.contains(group), let bar = series.bars[group], bar.value.isFinite else { continue }
        let x = first + barWidth * Double(index)
        let end = plot.y(bar.value)
        plot.svg.rectangle(
          x: x + 0.75, y: min(base, end), width: barWidth - 1.5, height: (base - end).magnitude,
          fill: Palette.color(index))
        if let error = bar.error, error.isFinite, error > 0 {
          plot.drawErrorBar(x: x + barWidth / 2, from: bar.value - error, to: bar.value + error, cap: barWidth / 5)
        }
      }
      let y = plot.top + plot.height
      if isSlanted {
        plot.svg.text(name, x: center + 4, y: y + 18, anchor: .end, rotation: -35)
      } else {
        plot.svg.text(name, x: center, y: y + 20, anchor: .middle)
      }
    }
    plot.svg.line(from: (plot.left, base), to: (plot.left + plot.width, base), stroke: SVG.muted)
    return plot.svg.document(title: title)
  }
}

extension Plot {
  /// A vertical line with caps, cut off at the ends of the axis.
  fileprivate mutating func drawErrorBar(x: Double, from low: Double, to high: Double, cap: Double) {
    let (bottom, top) = (y(low), y(high))
    svg.path(
      [[(x, bottom), (x, top)], [(x - cap, bottom), (x + cap, bottom)], [(x - cap, top), (x + cap, top)]],
      stroke: SVG.ink, width: 1.2)
  }
}
