/// Points in a plane, in groups of one colour each: one measured number against another.
public struct ScatterChart: Equatable, Sendable {
  public var title: String
  public var horizontalLabel: String
  public var verticalLabel: String
  public var groups: [Group]
  /// Pixels.
  public var width: Double = 760

  public struct Group: Equatable, Sendable {
    public var name: String
    public var points: [LineChart.Point]

    public init(name: String, points: [LineChart.Point]) {
      self.name = name
      self.points = points
    }
  }

  public init(title: String, horizontalLabel: String, verticalLabel: String, groups: [Group]) {
    self.title = title
    self.horizontalLabel = horizontalLabel
    self.verticalLabel = verticalLabel
    self.groups = groups
  }

  /// The drawing. A point that is not finite is left out.
  public var svg: String {
    let points = groups.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite }
    let horizontal = Axis(covering: points.map(\.x), tickCount: 8)
    var plot = Plot(
      title: title, legend: groups.enumerated().map { ($1.name, Palette.color($0)) },
      vertical: Axis(covering: points.map(\.y)), verticalLabel: verticalLabel, width: width, plotHeight: 320, bottom: 56
    )
    plot.drawHorizontal(horizontal, label: horizontalLabel)
    for (index, group) in groups.enumerated() {
      for point in group.points where point.x.isFinite && point.y.isFinite {
        plot.svg.circle(
          x: plot.left + plot.width * horizontal.fraction(point.x), y: plot.y(point.y), radius: 2.5,
          fill: Palette.color(index))
      }
    }
    return plot.svg.document(title: title)
  }
}
