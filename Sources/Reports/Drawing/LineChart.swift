/// Curves over a common axis: losses and accuracies over training.
public struct LineChart: Equatable, Sendable {
  public var title: String
  public var horizontalLabel: String
  public var verticalLabel: String
  public var series: [Series]
  /// The vertical axis; by default what the values need.
  public var range: ClosedRange<Double>?
  /// Pixels.
  public var width: Double = 760

  public struct Series: Equatable, Sendable {
    public var name: String
    public var points: [Point]

    public init(name: String, points: [Point]) {
      self.name = name
      self.points = points
    }
  }

  public struct Point: Equatable, Sendable {
    public var x: Double
    public var y: Double

    public init(_ x: Double, _ y: Double) {
      self.x = x
      self.y = y
    }

    fileprivate var isFinite: Bool { x.isFinite && y.isFinite }
  }

  public init(
    title: String, horizontalLabel: String, verticalLabel: String, series: [Series], range: ClosedRange<Double>? = nil
  ) {
    self.title = title
    self.horizontalLabel = horizontalLabel
    self.verticalLabel = verticalLabel
    self.series = series
    self.range = range
  }

  /// The drawing. A point that is not finite interrupts its curve.
  public var svg: String {
    let points = series.flatMap(\.points).filter(\.isFinite)
    let horizontal = Axis(covering: points.map(\.x), tickCount: 8)
    var plot = Plot(
      title: title, legend: series.enumerated().map { ($1.name, Palette.color($0)) },
      vertical: Axis(covering: points.map(\.y), range: range), verticalLabel: verticalLabel, width: width,
      plotHeight: 260, bottom: horizontalLabel.isEmpty ? 36 : 56)
    func x(_ value: Double) -> Double { plot.left + plot.width * horizontal.fraction(value) }
    plot.drawHorizontal(horizontal, label: horizontalLabel)

    for (index, series) in series.enumerated() {
      let pieces = series.points.split { !$0.isFinite }.map { piece in piece.map { (x: x($0.x), y: plot.y($0.y)) } }
      plot.svg.path(
        pieces, stroke: Palette.color(index), width: 2, dashes: index >= Palette.okabeIto.count ? "6 3" : nil)
      // A piece of one point has no length to be seen by; a few points are marked.
      for piece in pieces where piece.count <= 25 {
        for point in piece { plot.svg.circle(x: point.x, y: point.y, radius: 3, fill: Palette.color(index)) }
      }
    }
    return plot.svg.document(title: title)
  }
}
