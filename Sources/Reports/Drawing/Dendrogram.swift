import Foundation

/// A tree of clusters, the leaves below each other at the left and joins at their heights to the right.
public struct Dendrogram: Equatable, Sendable {
  public var title: String
  public var leaves: [String]
  /// Each joins two of what is there: leaves by their number, earlier joins by `leaves.count` and their place.
  public var joins: [Join]
  /// Of the horizontal axis.
  public var label: String

  public struct Join: Equatable, Sendable {
    public var first: Int
    public var second: Int
    public var height: Double

    public init(first: Int, second: Int, height: Double) {
      self.first = first
      self.second = second
      self.height = height
    }
  }

  public init(title: String, leaves: [String], joins: [Join], label: String) {
    self.title = title
    self.leaves = leaves
    self.joins = joins
    self.label = label
  }

  /// The drawing. Joins of what is not there, or at a height that is not finite, are left out.
  public var svg: String {
    let names = leaves.map { SVG.width(of: $0, size: 12) }.max() ?? 0
    let (left, top, row, plotWidth) = (20 + names + 10, title.isEmpty ? 20.0 : 50, 24.0, 420.0)
    let axis = Axis(covering: joins.map(\.height).filter(\.isFinite), including: 0)
    func x(_ height: Double) -> Double { left + axis.fraction(height) * plotWidth }
    let bottom = top + row * Double(leaves.count)
    let titleWidth = SVG.width(of: title, size: 15) * 1.05 + 40
    var svg = SVG(width: max(left + plotWidth + 30, titleWidth), height: bottom + 54)
    if !title.isEmpty { svg.text(title, x: 20, y: 29, size: 15, bold: true) }
    for tick in axis.ticks {
      svg.line(from: (x(tick), top), to: (x(tick), bottom), stroke: SVG.grid)
      svg.text(axis.label(tick), x: x(tick), y: bottom + 16, size: 11, anchor: .middle, fill: SVG.muted)
    }
    svg.text(label, x: left + plotWidth / 2, y: bottom + 38, anchor: .middle, fill: SVG.muted)

    var places: [(x: Double, y: Double)?] = leaves.map { _ in nil }
    for (place, leaf) in order.enumerated() {
      let y = top + row * (Double(place) + 0.5)
      svg.text(leaves[leaf], x: left - 10, y: y + 4, anchor: .end)
      places[leaf] = (x(0), y)
    }
    for join in joins {
      guard join.height.isFinite, places.indices.contains(join.first), places.indices.contains(join.second),
        let first = places[join.first], let second = places[join.second]
      else {
        places.append(nil)
        continue
      }
      let stem = x(join.height)
      svg.path(
        [[first, (stem, first.y), (stem, second.y), second]], stroke: Palette.color(0), width: 1.6)
      places.append((stem, (first.y + second.y) / 2))
    }
    return svg.document(title: title)
  }

  /// The leaves so that no branches cross; those of no join last.
  private var order: [Int] {
    var members: [[Int]] = leaves.indices.map { [$0] }
    var used = [Bool](repeating: false, count: leaves.count + joins.count)
    for join in joins {
      guard members.indices.contains(join.first), members.indices.contains(join.second) else {
        members.append([])
        continue
      }
      members.append(members[join.first] + members[join.second])
      used[join.first] = true
      used[join.second] = true
    }
    var seen: Set<Int> = []
    return members.indices.reversed().filter { !used[$0] }.flatMap { members[$0] }.filter { seen.insert($0).inserted }
  }
}
