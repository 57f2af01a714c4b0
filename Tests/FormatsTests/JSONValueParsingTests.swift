import Foundation
import Testing

@testable import Formats

@Suite struct JSONValueParsingTests {
  private func refusal(_ text: String, _ limits: JSONLimits = JSONLimits()) -> JSONError? {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text, limits: limits) }
  }

  private func refusal(_ bytes: [UInt8]) -> JSONError? {
    #expect(throws: JSONError.self) { try JSONValue(parsing: Data(bytes)) }
  }

  @Test func `every kind of value is read`() throws {
    let json = try JSONValue(parsing: #" {"b": [1, -2.5, true, false, null], "a": {"x": "y"}, "e": [], "o": {}} "#)
    #expect(json == ["b": [1, -2.5, true, false, nil], "a": ["x": "y"], "e": [], "o": [:]])
    #expect(json["b"]?[1]?.double == -2.5)
    #expect(json["b"]?[0]?.double == 1)
    #expect(json["b"]?[1]?.integer == nil)
    #expect(json["b"]?[2]?.bool == true)
    #expect(json["b"]?[4]?.isNull == true)
    #expect(json["b"]?[5] == nil)
    #expect(json["b"]?[-1] == nil)
    #expect(json["a"]?["x"]?.string == "y")
    #expect(json["c"] == nil)
  }

  @Test func `keys keep their order, in large objects too`() throws {
    let keys = (0..<40).map { "k\(($0 * 17) % 40)" }
    let text = "{" + keys.map { #""\#($0)":1"# }.joined(separator: ",") + "}"
    var object = try #require(try JSONValue(parsing: text).object)
    #expect(object.keys == keys)
    object["k17"] = nil
    object["k3"] = 9
    #expect(object["k17"] == nil)
    #expect(object["k34"] == 1)
    #expect(object["k3"] == 9)
    #expect(object.keys == keys.filter { $0 != "k17" })
  }

  @Test func `integers are kept exactly up to both ends of Int`() throws {
    let json = try JSONValue(parsing: "[9223372036854775807, -9223372036854775808, 9007199254740993, -0, 1.0, 1e2]")
    #expect(json == [.integer(.max), .integer(.min), .integer(9_007_199_254_740_993), 0, .double(1), .double(100)])
    #expect(json[2]?.double == nil)  // 2^53 + 1 is no double
  }

  @Test func `an integer beyond Int is a double where that is exact, and refused otherwise`() throws {
    let exact = try JSONValue(
      parsing: "[1000000000000000019884624838656, -9223372036854775808000, 18446744073709551616]")
    #expect(exact == [.double(1e30), .double(-9_223_372_036_854_775_808_000), .double(0x1p64)])
    #expect(refusal("[9223372036854775809]") == JSONError(.numberOutOfRange("9223372036854775809"), at: 1))
  }

  @Test(arguments: ["01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "1_000", "-a", "Infinity", "NaN", "-Infinity"])
  func `what is not a JSON number is refused`(text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
  }

  @Test func `a number beyond Double is refused`() {
    #expect(refusal("1e999") == JSONError(.numberOutOfRange("1e999"), at: 0))
    let long = String(repeating: "1", count: 2_000)
    #expect(refusal(long) == JSONError(.numberTooLong(limit: 1_100), at: 0))
  }

  @Test func `Python's numbers that are not finite are read when asked for`() throws {
    var limits = JSONLimits()
    limits.allowsNonFiniteNumbers = true
    let json = try JSONValue(parsing: "[NaN, Infinity, -Infinity, -1]", limits: limits)
    #expect(json[0]?.double?.isNaN == true)
    #expect(json[1] == .double(.infinity))
    #expect(json[2] == .double(-.infinity))
    #expect(json[3] == -1)
  }

  @Test func `escapes are decoded`() throws {
    let text = #""\"\\\/\b\f\n\r\t\u00e9\uD83E\uDD89\u0000""#
    #expect(try JSONValue(parsing: text) == .string("\"\\/\u{08}\u{0C}\n\r\té🦉\0"))
  }

  @Test func `half a surrogate pair is refused`() {
    #expect(refusal(#"["\ud83e"]"#) == JSONError(.loneSurrogate, at: 2))
    #expect(refusal(#"["\ud83eA"]"#) == JSONError(.loneSurrogate, at: 2))
    #expect(refusal(#"["a\udd89"]"#) == JSONError(.loneSurrogate, at: 3))
    #expect(refusal(#"["\ud83e\u0041"]"#) == JSONError(.loneSurrogate, at: 2))
  }

  @Test func `unknown escapes, short escapes and control characters are refused`() {
    #expect(refusal(#"["\x"]"#) == JSONError(.unknownEscape(UInt8(ascii: "x")), at: 2))
    #expect(refusal(#"["\u12g4"]"#)?.offset == 6)
    #expect(refusal(#""\u12"#)?.offset == 5)
    #expect(refusal("\"a\nb\"") == JSONError(.controlCharacter(10), at: 2))
    #expect(refusal(#""abc"#) == JSONError(.unexpectedEnd(expected: "the closing '\"' of a string"), at: 4))
    #expect(refusal(#""\"#) == JSONError(.unexpectedEnd(expected: "the rest of an escape"), at: 2))
  }

  @Test func `a key given twice is refused at the second, in small and large objects`() {
    #expect(refusal(#"{"a":1,"b":2,"a":3}"#) == JSONError(.duplicateKey("a"), at: 13))
    #expect(refusal(#"{"a":1,"\u0061":3}"#) == JSONError(.duplicateKey("a"), at: 7))
    let many = (0..<20).map { #""k\#($0)":1"# }.joined(separator: ",")
    #expect(refusal("{\(many),\"k5\":1}")?.problem == .duplicateKey("k5"))
  }

  @Test(arguments: [
    ("", 0), (" ", 1), ("{", 1), ("[1", 2), ("[1,]", 3), (#"{"a":1,}"#, 7), (#"{"a" 1}"#, 5), (#"{1:2}"#, 1),
    ("[1 2]", 3),
    ("[1}", 2), ("tru", 3), ("trux", 0), ("nulL", 0), ("1 2", 2), ("{} x", 3), ("'a'", 0), ("[//\n1]", 1),
    ("\u{FEFF}1", 0),
  ])
  func `what is not JSON is refused at its byte`(text: String, offset: Int) {
    #expect(refusal(text)?.offset == offset)
  }

  @Test(
    arguments: [
      ([0x22, 0x61, 0x80, 0x22], 2),  // a continuation byte alone
      ([0x22, 0xC0, 0xAF, 0x22], 1),  // '/' in two bytes
      ([0x22, 0xE0, 0x80, 0xAF, 0x22], 1),  // and in three
      ([0x22, 0xED, 0xA0, 0x80, 0x22], 1),  // a surrogate
      ([0x22, 0xF0, 0x80, 0x80, 0x80, 0x22], 1),
      ([0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], 1),  // beyond U+10FFFF
      ([0x22, 0xF5, 0x80, 0x80, 0x80, 0x22], 1),
      ([0x22, 0xFF, 0x22], 1),
      ([0x22, 0xE2, 0x82, 0x22], 1),  // cut short
      ([0x22, 0xF0, 0x9F, 0xA6], 1),
    ] as [([UInt8], Int)])
  func `bytes that are not UTF-8 are refused`(bytes: [UInt8], offset: Int) {
    #expect(refusal(bytes) == JSONError(.notUTF8, at: offset))
  }

  @Test func `every scalar is valid UTF-8 wherever it stands`() throws {
    var text = ""
    for value in stride(from: UInt32(0x20), through: 0x10FFFF, by: 37) {
      if let scalar = Unicode.Scalar(value), scalar != "\"", scalar != "\\" { text.unicodeScalars.append(scalar) }
    }
    #expect(try JSONValue(parsing: "\"" + text + "\"").string == text)
  }

  @Test func `limits hold, and what they allow passes`() throws {
    var limits = JSONLimits()
    limits.depth = 3
    #expect(try JSONValue(parsing: "[[[1]]]", limits: limits)[0]?[0]?[0] == 1)
    #expect(refusal("[[[[1]]]]", limits) == JSONError(.tooDeep(limit: 3), at: 3))
    #expect(refusal(#"{"a":{"a":{"a":{}}}}"#, limits) == JSONError(.tooDeep(limit: 3), at: 15))

    limits = JSONLimits()
    limits.values = 4
    #expect(try JSONValue(parsing: "[1,2,3]", limits: limits).array?.count == 3)
    #expect(refusal("[1,2,3,4]", limits)?.problem == .tooManyValues(limit: 4))

    limits = JSONLimits()
    limits.stringBytes = 3
    #expect(try JSONValue(parsing: "\"abc\"", limits: limits) == "abc")
    #expect(refusal("\"abcd\"", limits) == JSONError(.stringTooLong(limit: 3), at: 1))
    #expect(refusal(#""\nab""#, limits) == JSONError(.stringTooLong(limit: 3), at: 1))

    limits = JSONLimits()
    limits.bytes = 3
    #expect(refusal("[1,2]", limits) == JSONError(.textTooLarge(bytes: 5, limit: 3), at: 0))
  }

  @Test func `a hundred thousand brackets are refused, not followed`() {
    #expect(refusal(String(repeating: "[", count: 100_000))?.problem == .tooDeep(limit: 128))
    #expect(refusal(String(repeating: #"{"a":"#, count: 100_000))?.problem == .tooDeep(limit: 128))
  }

  @Test func `errors say the byte and what was found`() {
    #expect(refusal("[1 2]")?.description == "Byte 3: found '2' where ',' or ']' should be.")
    #expect(refusal(#"{"a":1,"a":2}"#)?.description == "Byte 7: the key 'a' is given twice in one object.")
  }

  @Test func `damaged text never traps`() throws {
    let valid = Array(#"{"a":[1,-2.5e3,"\u00e9\ud83e\udd89é"],"b":{"c":null,"d":true},"e":"x\\y","f":[[],{}]}"#.utf8)
    var generator = SplitMix64(seed: 7)
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = valid
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[place] = UInt8.random(in: 0...255, using: &generator)
      }
      if Bool.random(using: &generator) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
      guard let value = try? JSONValue(parsing: Data(bytes)) else { continue }
      accepted += 1
      // What is accepted means the same when it is written and read again.
      #expect(try JSONValue(parsing: value.text()) == value)
    }
    #expect((1..<20_000).contains(accepted))
  }

  @Test func `a damaged file is named`() throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "damaged-\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: url) }
    try Data(#"{"a": 1,"#.utf8).write(to: url)
    let error = try #require(throws: JSONFileError.self) { try JSONValue(contentsOf: url) }
    #expect(error.path == url.path && error.error.offset == 8)
    #expect(
      error.description == "'\(url.path)', byte 8: \(error.error.problem). The file is damaged, or not the JSON it "
        + "should be: copy it again.")
  }
}
