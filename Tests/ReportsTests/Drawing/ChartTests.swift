import Testing

@testable import Reports

@Suite struct BarChartTests {
  let chart = BarChart(
    title: "R&D", verticalLabel: "accuracy (%)", groups: ["art", "photo"],
    series: [
      .init(name: "LoRA <8>", bars: [.init(50, error: 10), .init(100)]),
      .init(name: "K-MoA", bars: [.init(25), nil]),
    ])

  @Test func `bars are as long as their values`() throws {
    let bars = elements("rect", in: chart.svg).filter { $0["rx"] == nil }
    let heights = bars.compactMap { $0["height"].flatMap(Double.init) }
    // The plot is 260 high and the axis ends at 100.
    #expect(heights == [130, 65, 260])
    #expect(bars.map { $0["fill"] } == ["#0072b2", "#e69f00", "#0072b2"])
  }

  @Test func `an error bar reaches as far as the error, both ways`() throws {
    let path = try #require(elements("path", in: chart.svg).first?["d"])
    let numbers = path.matches(of: /[0-9.]+/).compactMap { Double($0.0) }
    let base = try #require(elements("line", in: chart.svg).last?["y1"].flatMap(Double.init))
    #expect((base - numbers[1]).isClose(to: 0.4 * 260, within: 0.02))
    #expect((base - numbers[3]).isClose(to: 0.6 * 260, within: 0.02))
  }

  @Test func `names are quoted and the drawing is well-formed and the same every time`() {
    #expect(chart.svg.contains("LoRA &lt;8&gt;"))
    #expect(chart.svg.contains("<title>R&amp;D</title>"))
    #expect(isWellFormed(chart.svg))
    #expect(chart.svg == chart.svg)
  }

  @Test func `long names are slanted, short ones level`() {
    var long = chart
    long.groups = ["a domain with a very long name indeed, longer than its group", "b"]
    #expect(long.svg.contains("rotate(-35"))
    #expect(!chart.svg.contains("rotate(-35"))
  }

  @Test func `a range cuts the bars, and NaN and nothing leave gaps`() {
    var chart = chart
    chart.range = 40...90
    let heights = elements("rect", in: chart.svg).filter { $0["rx"] == nil }.compactMap { $0["height"] }
    #expect(heights == ["52", "0", "260"])
    chart.series[0].bars[0] = .init(.nan, error: .infinity)
    #expect(elements("rect", in: chart.svg).filter { $0["rx"] == nil }.count == 2)
    #expect(isWellFormed(BarChart(title: "", verticalLabel: "", groups: [], series: []).svg))
  }

  @Test func `a table becomes a chart in per cent`() {
    let table = ResultTable(
      title: "T", columns: ["a", "b"],
      rows: [ResultTable.Row(label: "m", trials: [[0: 0.5, 1: 1], [:]])])
    let chart = BarChart(table)
    #expect(chart.groups == ["a", "b", "Avg"])
    #expect(chart.series == [.init(name: "m", bars: [.init(75, error: 25 / 2.0.squareRoot()), nil, nil])])
  }
}

@Suite struct LineChartTests {
  @Test func `points lie where their values are, and NaN interrupts a curve`() throws {
    let chart = LineChart(
      title: "loss", horizontalLabel: "", verticalLabel: "",
      series: [.init(name: "run", points: [.init(0, 0), .init(50, 5), .init(75, .nan), .init(100, 10), .init(90, 10)])])
    let path = try #require(elements("path", in: chart.svg).first?["d"])
    #expect(path.split(separator: "M").count == 2)
    let circles = elements("circle", in: chart.svg)
    let (xs, ys) = (
      circles.compactMap { $0["cx"].flatMap(Double.init) }, circles.compactMap { $0["cy"].flatMap(Double.init) }
    )
    #expect(circles.count == 4)
    #expect((xs[1] - xs[0]).isClose(to: (xs[2] - xs[0]) / 2, within: 0.02))
    #expect(ys[0] - ys[2] == 260)
    #expect(ys[0] - ys[1] == 130)
    #expect(isWellFormed(chart.svg))
  }

  @Test func `nothing to draw is an empty frame`() {
    #expect(isWellFormed(LineChart(title: "", horizontalLabel: "x", verticalLabel: "y", series: []).svg))
  }

  @Test func `colours that return are dashed`() {
    let series = (0..<9).map { LineChart.Series(name: "s\($0)", points: [.init(0, 0), .init(1, Double($0))]) }
    let paths = elements("path", in: LineChart(title: "", horizontalLabel: "", verticalLabel: "", series: series).svg)
    #expect(paths.map { $0["stroke-dasharray"] != nil } == [Bool](repeating: false, count: 8) + [true])
    #expect(Set(paths.map { $0["stroke"] }).count == 9)
  }
}

@Suite struct HeatMapTests {
  @Test func `cells are coloured from light to dark, and blanks left out`() {
    let map = HeatMap(
      title: "load", rows: ["0", "2"], columns: ["a", "b"], values: [[0, 1], [nil, .nan]], range: 0...1)
    let cells = elements("rect", in: map.svg).filter { $0["width"] == "53" }
    #expect(cells.map { $0["fill"] } == ["#f3f8fd", "#08306b"])
    #expect(map.svg.contains(##"fill="#ffffff" text-anchor="middle">1.00</text>"##))
    #expect(map.svg.contains(##"fill="#24292f" text-anchor="middle">0.00</text>"##))
    #expect(isWellFormed(map.svg))
  }

  @Test func `ragged, constant and empty values are drawn`() {
    #expect(isWellFormed(HeatMap(title: "", rows: ["a", "b"], columns: ["c", "d"], values: [[3]]).svg))
    #expect(isWellFormed(HeatMap(title: "", rows: [], columns: [], values: []).svg))
  }
}

@Suite struct PaletteTests {
  @Test func `the colours are Okabe and Ito's, and return darkened`() {
    #expect((0..<4).map(Palette.color) == ["#0072b2", "#e69f00", "#009e73", "#d55e00"])
    #expect(Palette.color(8) == "#004e79")
    #expect(Palette.color(-1) == "#0072b2")
    #expect(Palette.ramp(0.5).isDark == false)
    #expect([-1, .nan, 0].map { Palette.ramp($0).hex } == ["#f3f8fd", "#f3f8fd", "#f3f8fd"])
    #expect(Palette.ramp(2).hex == "#08306b")
  }
}
