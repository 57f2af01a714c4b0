import Foundation

/// An SVG document under construction. Coordinates are pixels, `y` downwards.
///
/// Every drawing lies on an opaque white card: GitHub shows pictures on a dark page to some readers, and what a
/// picture's own style sheet takes for dark mode need not be what the page shows.
struct SVG {
  var width: Double
  var height: Double
  private var elements: [String] = []
  private var definitions: [String] = []

  init(width: Double, height: Double) {
    self.width = width
    self.height = height
  }

  static let ink = "#24292f"
  static let muted = "#57606a"
  static let grid = "#d8dee4"

  enum Anchor: String {
    case start, middle, end
  }

  // MARK: Elements

  mutating func rectangle(
    x: Double, y: Double, width: Double, height: Double, fill: String, opacity: Double = 1, radius: Double = 0,
    stroke: String? = nil
  ) {
    var attributes = Self.attributes([("x", x), ("y", y), ("width", max(0, width)), ("height", max(0, height))])
    if radius > 0 { attributes += Self.attributes([("rx", radius)]) }
    attributes += " fill=\"\(fill)\""
    if opacity < 1 { attributes += Self.attributes([("fill-opacity", opacity)]) }
    if let stroke { attributes += " stroke=\"\(stroke)\"" }
    elements.append("<rect\(attributes)/>")
  }

  mutating func line(
    from start: (x: Double, y: Double), to end: (x: Double, y: Double), stroke: String, width: Double = 1
  ) {
    let ends = Self.attributes([("x1", start.x), ("y1", start.y), ("x2", end.x), ("y2", end.y)])
    elements.append("<line\(ends) stroke=\"\(stroke)\"\(Self.attributes([("stroke-width", width)]))/>")
  }

  /// Connected points; the path is not closed and not filled.
  mutating func path(
    _ pieces: [[(x: Double, y: Double)]], stroke: String, width: Double, opacity: Double = 1, dashes: String? = nil
  ) {
    let data = pieces.filter { !$0.isEmpty }.map { points in
      points.enumerated().map { index, point in
        "\(index == 0 ? "M" : "L")\(Self.number(point.x)) \(Self.number(point.y))"
      }.joined()
    }.joined()
    guard !data.isEmpty else { return }
    var attributes = " fill=\"none\" stroke=\"\(stroke)\"\(Self.attributes([("stroke-width", width)]))"
    attributes += " stroke-linejoin=\"round\""
    if opacity < 1 { attributes += Self.attributes([("stroke-opacity", opacity)]) }
    if let dashes { attributes += " stroke-dasharray=\"\(dashes)\"" }
    elements.append("<path d=\"\(data)\"\(attributes)/>")
  }

  mutating func circle(x: Double, y: Double, radius: Double, fill: String) {
    elements.append("<circle\(Self.attributes([("cx", x), ("cy", y), ("r", radius)])) fill=\"\(fill)\"/>")
  }

  /// - Parameter rotation: in degrees, clockwise, about the text's own position.
  mutating func text(
    _ text: String, x: Double, y: Double, size: Double = 12, anchor: Anchor = .start, fill: String = SVG.ink,
    bold: Bool = false, rotation: Double = 0
  ) {
    var attributes = Self.attributes([("x", x), ("y", y), ("font-size", size)]) + " fill=\"\(fill)\""
    if anchor != .start { attributes += " text-anchor=\"\(anchor.rawValue)\"" }
    if bold { attributes += " font-weight=\"600\"" }
    if rotation != 0 {
      attributes += " transform=\"rotate(\([rotation, x, y].map(Self.number).joined(separator: " ")))\""
    }
    elements.append("<text\(attributes)>\(Self.escaped(text))</text>")
  }

  /// Embeds a picture once under a name; `use` then shows it in any number of places.
  mutating func define(_ image: PixelImage, as name: String, width: Double, height: Double) {
    let size = Self.attributes([("width", width), ("height", height)])
    definitions.append(
      "<image id=\"\(name)\"\(size) preserveAspectRatio=\"none\" "
        + "xlink:href=\"data:image/png;base64,\(image.png.base64EncodedString())\"/>")
  }

  /// - Parameter grey: without its colours, so that what is laid over it keeps its own.
  mutating func use(_ name: String, x: Double, y: Double, grey: Bool = false) {
    let filter = "<filter id=\"grey\"><feColorMatrix type=\"saturate\" values=\"0\"/></filter>"
    if grey, !definitions.contains(filter) { definitions.append(filter) }
    let position = Self.attributes([("x", x), ("y", y)])
    elements.append("<use xlink:href=\"#\(name)\"\(position)\(grey ? " filter=\"url(#grey)\"" : "")/>")
  }

  /// Coloured squares with their names, in as many lines as the width needs; returns the height taken.
  @discardableResult
  mutating func legend(_ entries: [(name: String, color: String)], x: Double, y: Double, width: Double) -> Double {
    var (left, top) = (x, y)
    for entry in entries {
      let extent = 18 + Self.width(of: entry.name, size: 12) + 16
      if left > x, left + extent > x + width {
        left = x
        top += 20
      }
      rectangle(x: left, y: top, width: 12, height: 12, fill: entry.color, radius: 2)
      text(entry.name, x: left + 18, y: top + 10.5)
      left += extent
    }
    return entries.isEmpty ? 0 : top + 20 - y
  }

  // MARK: The document

  /// - Parameter title: read out by screen readers, shown by browsers on hovering.
  func document(title: String) -> String {
    let size = "\(Self.number(width)) \(Self.number(height))"
    let lines =
      [
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\""
          + Self.attributes([("width", width), ("height", height)]) + " viewBox=\"0 0 \(size)\" role=\"img\""
          + " font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">",
        "<title>\(Self.escaped(title))</title>",
      ] + (definitions.isEmpty ? [] : ["<defs>"] + definitions + ["</defs>"])
      + ["<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#ffffff\"/>"] + elements + ["</svg>"]
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: Text and numbers

  /// Two decimals, no trailing zeros; what is not finite, or beyond any drawing, is brought to its edge.
  static func number(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    let hundredths = Int((min(max(value, -1e6), 1e6) * 100).rounded())
    var text = String(hundredths.magnitude / 100)
    let rest = hundredths.magnitude % 100
    if rest > 0 {
      text += rest < 10 ? ".0\(rest)" : rest.isMultiple(of: 10) ? ".\(rest / 10)" : ".\(rest)"
    }
    return hundredths < 0 ? "-" + text : text
  }

  /// Markup is quoted; control characters, which XML forbids even quoted, become U+FFFD.
  static func escaped(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      case "\t", "\n", "\r": escaped += " "
      case "\0"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": escaped += "\u{FFFD}"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }

  /// An estimate: fonts differ between readers, so layouts leave room.
  static func width(of text: String, size: Double) -> Double {
    text.unicodeScalars.reduce(0) { $0 + ($1.value < 0x2E80 ? 0.58 : 1.0) * size }
  }

  private static func attributes(_ values: [(name: String, value: Double)]) -> String {
    values.map { " \($0.name)=\"\(number($0.value))\"" }.joined()
  }
}
