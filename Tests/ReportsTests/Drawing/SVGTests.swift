import Foundation
import Testing

@testable import Reports

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct SVGTests {
  @Test(arguments: [
    (1.0, "1"), (1.5, "1.5"), (-0.256, "-0.26"), (0.05, "0.05"), (0.001, "0"), (1e300, "1000000"), (.nan, "0"),
    (-2, "-2"),
  ])
  func `numbers are short, and none breaks the drawing`(value: Double, text: String) {
    #expect(SVG.number(value) == text)
  }

  @Test func `text is quoted`() {
    #expect(
      SVG.escaped("<a href='x'>\"R&D\"</a>\u{0}\n")
        == "&lt;a href=&#39;x&#39;&gt;&quot;R&amp;D&quot;&lt;/a&gt;\u{FFFD} ")
  }

  @Test func `a document, whole`() {
    var svg = SVG(width: 40, height: 20)
    svg.rectangle(x: 1, y: 2, width: 3, height: -4, fill: "#000000", opacity: 0.5)
    svg.text("a<b", x: 1, y: 2, anchor: .end, rotation: -90)
    svg.path([[(x: 0, y: 0), (x: 1, y: 1)], [(x: 2, y: 0)]], stroke: "#ffffff", width: 2)
    #expect(
      svg.document(title: "T & t") == """
        <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="20" \
        viewBox="0 0 40 20" role="img" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif">
        <title>T &amp; t</title>
        <rect width="100%" height="100%" rx="8" fill="#ffffff"/>
        <rect x="1" y="2" width="3" height="0" fill="#000000" fill-opacity="0.5"/>
        <text x="1" y="2" font-size="12" fill="#24292f" text-anchor="end" transform="rotate(-90 1 2)">a&lt;b</text>
        <path d="M0 0L1 1M2 0" fill="none" stroke="#ffffff" stroke-width="2" stroke-linejoin="round"/>
        </svg>

        """)
  }

  @Test func `a drawing with hostile text is well-formed, a broken one is told from it`() {
    var svg = SVG(width: 1, height: 1)
    svg.text("</text><script>\u{1}&amp;]]>", x: 0, y: 0)
    #expect(isWellFormed(svg.document(title: "<\"'&>")))
    #expect(!isWellFormed("<svg><rect></svg>"))
  }

  @Test func `a legend breaks into lines where the width ends`() {
    var svg = SVG(width: 100, height: 100)
    #expect(svg.legend([("one", "#111111"), ("two", "#222222")], x: 0, y: 0, width: 200) == 20)
    #expect(svg.legend([("one", "#111111"), ("two", "#222222")], x: 0, y: 0, width: 80) == 40)
    #expect(svg.legend([], x: 0, y: 0, width: 80) == 0)
  }
}

/// The attributes of the elements of one kind, for asserting positions and colours of a drawing.
func elements(_ name: String, in svg: String) -> [[String: String]] {
  svg.split(separator: "\n").filter { $0.hasPrefix("<\(name) ") }.map { line in
    var attributes: [String: String] = [:]
    for match in line.matches(of: /([a-z0-9:-]+)="([^"]*)"/) { attributes[String(match.1)] = String(match.2) }
    return attributes
  }
}

/// Whether a drawing is well-formed XML.
func isWellFormed(_ svg: String) -> Bool {
  let parser = XMLParser(data: Data(svg.utf8))
  // On Linux `parse` can return true and still have met an error.
  return parser.parse() && parser.parserError == nil
}
