import Foundation
import Testing

@testable import Formats

@Suite struct JSONValueWritingTests {
  @Test func `doubles are written as Python writes them`() throws {
    let lines = try String(contentsOf: fixture("python-doubles.txt"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count > 400)
    for line in lines {
      let parts = line.split(separator: " ")
      let value = Double(bitPattern: try #require(UInt64(parts[0], radix: 16)))
      #expect(pythonRepresentation(of: value) == parts[1])
    }
  }

  @Test func `doubles read back as the same bits`() throws {
    var generator = SplitMix64(seed: 3)
    for _ in 0..<5_000 {
      let value = Double(bitPattern: generator.next())
      guard value.isFinite else { continue }
      #expect(try JSONValue(parsing: JSONValue.double(value).text()).double?.bitPattern == value.bitPattern)
    }
  }

  @Test(arguments: [
    ("python-spaced.json", JSONFormat.python),
    ("python-indented.json", JSONFormat(.indented(2))),
    ("python-compact.json", JSONFormat(.compact, escapesNonASCII: true)),
  ])
  func `a document is written byte for byte as json-dumps writes it`(name: String, format: JSONFormat) throws {
    let expected = try Data(contentsOf: fixture(name))
    #expect(try JSONValue(parsing: expected).data(format) == expected)
  }

  @Test func `keys sort by code points`() throws {
    // U+FF5E comes before U+1F989 by code point and after it in UTF-16; 'é' decomposed begins with 'e'.
    let json: JSONValue = ["🦉": 1, "～": 2, "e\u{301}z": 3, "ez": 4, "Z": 5, "a": 6]
    let text = try json.text(JSONFormat(.compact, sortsKeys: true))
    #expect(text == "{\"Z\":5,\"a\":6,\"ez\":4,\"e\u{301}z\":3,\"～\":2,\"🦉\":1}")
  }

  @Test func `a number that is not finite is refused with its path, or spelt as Python spells it`() throws {
    let json: JSONValue = ["runs": [1, ["loss": .double(.nan)]]]
    let error = #expect(throws: JSONWritingError.self) { try json.text() }
    #expect(error == JSONWritingError(path: "runs[1].loss", number: "NaN"))
    #expect(try json.text(.python) == #"{"runs": [1, {"loss": NaN}]}"#)
  }

  @Test func `the readable format indents and sorts`() throws {
    let json: JSONValue = ["b": [1, []], "a": [:]]
    #expect(try json.text(.readable) == "{\n  \"a\": {},\n  \"b\": [\n    1,\n    []\n  ]\n}")
  }
}
