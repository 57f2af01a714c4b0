import Formats
import Foundation
import Mixing
import Reports

extension StudyReport {
  /// Drawings by file name; only those that there are numbers for.
  public var figures: [(name: String, svg: String)] {
    let measured = kinds.filter { !$0.sizes.isEmpty }
    guard !measured.isEmpty else { return [] }
    var figures = [
      (
        name: "accuracy.svg",
        svg: LineChart(
          title: "Accuracy on the members' domains", horizontalLabel: "adapters mixed",
          verticalLabel: "relative to the own adapter alone (%)",
          series: measured.map { kind in
            LineChart.Series(
              name: kind.name, points: kind.sizes.map { LineChart.Point(Double($0.count), 100 * $0.relative.mean) })
          }
        ).svg
      )
    ]
    for kind in measured {
      let name = Self.fileName(kind.name)
      figures.append(("fsd-\(name).svg", scatter(kind)))
      figures.append(("fsd-map-\(name).svg", heatMap(kind)))
      figures.append(("orders-\(name).svg", orders(kind)))
      if let svg = pruning(kind) { figures.append(("pruning-\(name).svg", svg)) }
      if let svg = attacks(kind) { figures.append(("attacks-\(name).svg", svg)) }
    }
    return figures
  }

  /// Writes `study.md`, `study.json` and the drawings.
  ///
  /// - Throws: `FileError`
  public func write(to folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try AtomicFile.write(markdown, to: folder.appendingPathComponent("study.md"))
    try AtomicFile.write(try json.text(.readable) + "\n", to: folder.appendingPathComponent("study.json"))
    for figure in figures { try AtomicFile.write(figure.svg, to: folder.appendingPathComponent(figure.name)) }
  }

  private static func fileName(_ name: String) -> String {
    String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
  }

  private func scatter(_ kind: Kind) -> String {
    ScatterChart(
      title: "\(kind.name): sign difference and accuracy of mixtures",
      horizontalLabel: "fraction of sign difference, mean over pairs",
      verticalLabel: "relative accuracy (%)",
      groups: Dictionary(grouping: kind.points, by: \.size).sorted { $0.key < $1.key }.map { size, points in
        ScatterChart.Group(name: "k = \(size)", points: points.map { LineChart.Point($0.signs, 100 * $0.accuracy) })
      }
    ).svg
  }

  private func heatMap(_ kind: Kind) -> String {
    HeatMap(
      title: "\(kind.name): fraction of sign difference", rows: domains, columns: domains,
      values: kind.pairs.enumerated().map { row, values in
        values.enumerated().map { column, value in row == column ? nil : value }
      }
    ).svg
  }

  private func orders(_ kind: Kind) -> String {
    LineChart(
      title: "\(kind.name): domains added in order", horizontalLabel: "adapters mixed",
      verticalLabel: "accuracy on the first (%)",
      series: kind.orders.map { curve in
        LineChart.Series(
          name: curve.rule,
          points: curve.accuracies.enumerated().map { place, accuracy in
            LineChart.Point(Double(place + 1), accuracy.map { 100 * $0.mean } ?? .nan)
          })
      }
    ).svg
  }

  private func pruning(_ kind: Kind) -> String? {
    var names: [String] = []
    var curves: [String: [LineChart.Point]] = [:]
    for point in kind.pruning {
      guard let density = point.density, point.size == 1 || point.size == domains.count else { continue }
      let name = point.order == "single" ? "\(point.criterion), alone" : "\(point.criterion), \(point.order)"
      if curves[name] == nil { names.append(name) }
      curves[name, default: []].append(LineChart.Point(density, 100 * point.accuracy.mean))
    }
    guard !names.isEmpty else { return nil }
    return LineChart(
      title: "\(kind.name): pruned adapters, alone and all \(domains.count) mixed",
      horizontalLabel: "fraction of the weights that is kept", verticalLabel: "accuracy (%)",
      series: names.map { name in
        LineChart.Series(name: name, points: (curves[name] ?? []).sorted { $0.x < $1.x })
      }
    ).svg
  }

  private func attacks(_ kind: Kind) -> String? {
    guard let first = kind.attacks.first?.attack else { return nil }
    var names: [String] = []
    for result in kind.attacks where !names.contains(result.attack) { names.append(result.attack) }
    func line(_ name: String, _ results: [AttackResult], _ value: (AttackResult) -> Double) -> LineChart.Series {
      LineChart.Series(name: name, points: results.map { LineChart.Point(Double($0.size), 100 * value($0)) })
    }
    let before = line("not attacked", kind.attacks.filter { $0.attack == first }) { $0.before.mean }
    return LineChart(
      title: "\(kind.name): accuracy under attack", horizontalLabel: "adapters mixed", verticalLabel: "accuracy (%)",
      series: [before]
        + names.map { name in line(name, kind.attacks.filter { $0.attack == name }) { $0.after.mean } }
    ).svg
  }
}
