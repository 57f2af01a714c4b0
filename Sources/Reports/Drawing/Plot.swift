/// The frame that bar and line charts share: card, title, legend, horizontal grid, labelled axes.
struct Plot {
  var svg: SVG
  let left: Double
  let top: Double
  let width: Double
  let height: Double
  let vertical: Axis

  /// - Parameter bottom: room under the plot, for tick labels and the horizontal axis's name.
  init(
    title: String, legend: [(name: String, color: String)], vertical: Axis, verticalLabel: String, width: Double,
    plotHeight: Double, bottom: Double
  ) {
    let tickWidth = vertical.ticks.map { SVG.width(of: vertical.label($0), size: 11) }.max() ?? 0
    let left = 20 + tickWidth + 8 + (verticalLabel.isEmpty ? 0 : 18)
    var svg = SVG(width: width, height: 0)
    var top = 16.0
    if !title.isEmpty {
      svg.text(title, x: 20, y: top + 13, size: 15, bold: true)
      top += 30
    }
    top += svg.legend(legend, x: 20, y: top, width: width - 40)
    top += 10
    self.left = left
    self.top = top
    self.width = max(1, width - left - 20)
    height = plotHeight
    self.vertical = vertical
    svg.height = top + plotHeight + bottom
    self.svg = svg

    for tick in vertical.ticks {
      let y = y(tick)
      self.svg.line(from: (left, y), to: (left + self.width, y), stroke: SVG.grid)
      self.svg.text(
        vertical.label(tick), x: left - 8, y: y + 4, size: 11, anchor: .end, fill: SVG.muted)
    }
    if !verticalLabel.isEmpty {
      self.svg.text(
        verticalLabel, x: 28, y: top + plotHeight / 2, anchor: .middle, fill: SVG.muted, rotation: -90)
    }
  }

  func y(_ value: Double) -> Double { top + height * (1 - vertical.fraction(value)) }

  /// Ticks with their numbers under the plot, and what they are of.
  mutating func drawHorizontal(_ axis: Axis, label: String) {
    let bottom = top + height
    for tick in axis.ticks {
      let x = left + width * axis.fraction(tick)
      svg.line(from: (x, bottom), to: (x, bottom + 5), stroke: SVG.muted)
      svg.text(axis.label(tick), x: x, y: bottom + 19, size: 11, anchor: .middle, fill: SVG.muted)
    }
    svg.line(from: (left, bottom), to: (left + width, bottom), stroke: SVG.muted)
    if !label.isEmpty {
      svg.text(label, x: left + width / 2, y: bottom + 42, anchor: .middle, fill: SVG.muted)
    }
  }
}
