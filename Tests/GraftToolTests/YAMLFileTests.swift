import Formats
import Foundation
import Testing

@testable import GraftTool

@Suite struct YAMLFileTests {
  private func root(_ text: String) throws -> JSONValue { .object(try YAMLFile(text, name: "a.yaml").root) }

  @Test func `plain scalars are read by the core schema of YAML 1 2`() throws {
    let text = """
      a: 1e-3
      b: 42
      c: true
      d: no
      e: "42"
      f: ~
      g: .5
      h: 1_000
      i: [x, 2, null]
      """
    #expect(
      try root(text) == [
        "a": 0.001, "b": 42, "c": true, "d": "no", "e": "42", "f": nil, "g": 0.5, "h": "1_000", "i": ["x", 2, nil],
      ])
  }

  @Test func `infinity and not-a-number are no numbers`() throws {
    #expect(try root("a: .inf\nb: nan\nc: 1e999") == ["a": ".inf", "b": "nan", "c": "1e999"])
  }

  @Test func `a key that stands twice is refused`() {
    #expect(throws: ConfigurationError.self) { try root("steps: 1\nsteps: 2") }
  }

  @Test func `bad syntax is named with its line and column`() {
    #expect {
      try root("steps: 1\nmethods: [a, b\nseed: 2")
    } throws: { error in
      "\(error)".hasPrefix("a.yaml: this is not YAML: line 3, column")
    }
  }

  @Test func `an empty file is an empty mapping`() throws {
    #expect(try root("# nothing\n") == [:])
  }

  @Test func `a file that is a list is refused`() {
    #expect(
      throws: ConfigurationError.value(
        place: "a.yaml", problem: "the file must be a mapping, 'key: value' on each line.")
    ) { try root("- a\n- b") }
  }

  @Test(arguments: ["[", "a: {", "- "])
  func `nesting without end is refused`(_ opening: String) {
    #expect(throws: ConfigurationError.self) { try root("a: " + String(repeating: opening, count: 100_000)) }
  }

  @Test func `indentation without end is refused`() {
    let text = (0..<1_000).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    #expect(throws: ConfigurationError.self) { try root(text) }
  }

  @Test func `aliases that multiply are refused`() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1..<9 {
      let inner = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      text += "a\(level): &a\(level) [\(inner)]\n"
    }
    #expect {
      try root(text)
    } throws: {
      $0 as? ConfigurationError
        == .tooLarge(file: "a.yaml", limit: "it has too many or too deeply nested values")
    }
  }

  @Test func `what is written as YAML is read back the same`() throws {
    let value: JSONValue = [
      "word": "lora", "number": "42", "truth": "true", "nothing": "", "colon": "a: b", "path": "~/x", "null": nil,
      "real": 1e-5, "whole": 3, "list": ["a", 1, 2.5, true], "mapping": ["inner": ["deep": [1, 2]]],
      "rows": [["name": "one"], ["name": "two"]],
    ]
    #expect(try root(value.yaml()) == value)
  }
}
