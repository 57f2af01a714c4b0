import Foundation

/// A table of numbers as colours: expert load by layer and domain, for instance.
public struct HeatMap: Equatable, Sendable {
  public var title: String
  public var rows: [String]
  public var columns: [String]
  /// `values[row][column]`; `nil` stays blank.
  public var values: [[Double?]]
  /// Which values have the lightest and the darkest colour; by default the smallest and the largest.
  public var range: ClosedRange<Double>?
  /// Of the numbers in the cells.
  public var decimals = 2

  public init(
    title: String, rows: [String], columns: [String], values: [[Double?]], range: ClosedRange<Double>? = nil
  ) {
    self.title = title
    self.rows = rows
    self.columns = columns
    self.values = values
    self.range = range
  }

  /// The drawing. Values that are not finite stay blank.
  public var svg: String {
    let finite = values.joined().compactMap(\.self).filter(\.isFinite)
    let low = range?.lowerBound ?? finite.min() ?? 0
    let high = range?.upperBound ?? finite.max() ?? 1
    let (cellWidth, cellHeight) = (54.0, 28.0)
    let labels = rows.map { SVG.width(of: $0, size: 12) }.max() ?? 0
    let names = columns.map { SVG.width(of: $0, size: 12) }.max() ?? 0
    let isSlanted = names > cellWidth - 6
    let left = 20 + labels + 10
    let top = (title.isEmpty ? 16.0 : 46) + (isSlanted ? 14 + 0.6 * names : 18)
    let (mapWidth, mapHeight) = (cellWidth * Double(columns.count), cellHeight * Double(rows.count))
    // A slanted name of the last column leans out to the right; the colour scale stands there.
    let right = 20 + 14 + 12 + SVG.width(of: text(high), size: 11) + 20
    let lean = isSlanted ? max(0, 0.82 * names - cellWidth / 2 - right + 10) : 0
    let titleWidth = SVG.width(of: title, size: 15) * 1.05 + 40
    var svg = SVG(width: max(left + mapWidth + right + lean, titleWidth), height: top + max(mapHeight, 60) + 20)
    if !title.isEmpty { svg.text(title, x: 20, y: 29, size: 15, bold: true) }

    for (column, name) in columns.enumerated() {
      let center = left + cellWidth * (Double(column) + 0.5)
      if isSlanted {
        svg.text(name, x: center - 4, y: top - 8, rotation: -35)
      } else {
        svg.text(name, x: center, y: top - 8, anchor: .middle)
      }
    }
    for (row, name) in rows.enumerated() {
      let y = top + cellHeight * Double(row)
      svg.text(name, x: left - 10, y: y + cellHeight / 2 + 4, anchor: .end)
      for column in columns.indices {
        guard values.indices.contains(row), values[row].indices.contains(column), let value = values[row][column],
          value.isFinite
        else { continue }
        let color = Palette.ramp(high > low ? (value - low) / (high - low) : 0.5)
        let x = left + cellWidth * Double(column)
        svg.rectangle(x: x + 0.5, y: y + 0.5, width: cellWidth - 1, height: cellHeight - 1, fill: color.hex)
        svg.text(
          text(value), x: x + cellWidth / 2, y: y + cellHeight / 2 + 4, size: 11, anchor: .middle,
          fill: color.isDark ? "#ffffff" : SVG.ink)
      }
    }
    drawScale(in: &svg, x: left + mapWidth + 20, y: top, height: max(mapHeight, 60), low: low, high: high)
    return svg.document(title: title)
  }

  private func drawScale(in svg: inout SVG, x: Double, y: Double, height: Double, low: Double, high: Double) {
    let steps = 24
    for step in 0..<steps {
      let part = height / Double(steps)
      // Each overlaps the next by a little, so that no hairlines show between them.
      svg.rectangle(
        x: x, y: y + part * Double(step), width: 14, height: part + (step < steps - 1 ? 0.6 : 0),
        fill: Palette.ramp(1 - Double(step) / Double(steps - 1)).hex)
    }
    svg.text(text(high), x: x + 20, y: y + 9, size: 11, fill: SVG.muted)
    svg.text(text(low), x: x + 20, y: y + height, size: 11, fill: SVG.muted)
  }

  private func text(_ value: Double) -> String { String(format: "%.\(min(max(decimals, 0), 9))f", value) }
}
