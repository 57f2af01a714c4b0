import Testing

@testable import Formats

@Suite struct TFExampleTests {
  /// A field that holds a string, a message or packed numbers, shorter than 128 bytes.
  private func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(bytes.count)] + bytes }

  private func example(_ features: KeyValuePairs<String, [UInt8]>) -> [UInt8] {
    field(1, features.flatMap { name, feature in field(1, field(1, Array(name.utf8)) + field(2, feature)) })
  }

  private func error(_ bytes: [UInt8]) -> TFExampleError? {
    #expect(throws: TFExampleError.self) { _ = try TFExample(parsing: bytes) }
  }

  @Test func `features of the three kinds`() throws {
    let example = try TFExample(
      parsing: example([
        "image": field(1, field(1, [9, 8]) + field(1, [])),
        "box": field(2, field(1, [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0])),
        "label": field(3, field(1, [0x96, 0x01, 0x07])),
        "none": [],
      ]))
    #expect(
      example.features == ["image": .bytes([[9, 8], []]), "box": .floats([1, -2]), "label": .integers([150, 7])])
  }

  @Test func `numbers one by one, negative numbers and unknown fields`() throws {
    let minusOne: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]
    let unknown: [UInt8] = [0x28, 0x05, 0x31, 1, 2, 3, 4, 5, 6, 7, 8, 0x3D, 1, 2, 3, 4] + field(8, [1])
    let bytes = example([
      "label": field(3, [0x08, 0x05, 0x08] + minusOne), "box": field(2, [0x0D, 0, 0, 0xC0, 0x3F]),
    ])
    let example = try TFExample(parsing: unknown + bytes + unknown)
    #expect(example.features == ["label": .integers([5, -1]), "box": .floats([1.5])])
  }

  @Test func `bytes that are no message are refused, with their place`() {
    #expect(error([0x0A, 5, 1])?.offset == 1)
    #expect(error([0x0A, 5, 1])?.description == "Byte 1: a field of 5 bytes does not fit in the 1 left.")
    #expect(
      error([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01])?.problem.contains(
        "18446744073709551615") == true)
    #expect(error([UInt8](repeating: 0xFF, count: 12))?.problem == "a number does not end within ten bytes")
    #expect(error([UInt8](repeating: 0xFF, count: 9) + [0x02])?.problem == "a number does not end within ten bytes")
    #expect(error([0x80])?.problem == "a number does not end within ten bytes")
    #expect(error([0x0B])?.problem == "a field has the wire type 3")
    #expect(error([0x00, 0x00])?.problem == "a field has the number 0")
    #expect(error([0x09, 1, 2])?.problem == "a number of 8 bytes does not fit in the 2 left")
    // Four bytes of a float do not fit in the three of its list.
    #expect(error(example(["box": field(2, field(1, [0, 0, 0]))]))?.problem.hasPrefix("a number of 4 bytes") == true)
    #expect(error(field(1, field(1, field(1, [0xFF]))))?.problem == "the name of a feature is not UTF-8")
  }

  @Test func `whatever a byte is changed to, nothing traps`() throws {
    let good = example(["image": field(1, field(1, [1, 2, 3])), "label": field(3, field(1, [4]))])
    for place in good.indices {
      for value in UInt8.min...UInt8.max {
        var bytes = good
        bytes[place] = value
        _ = try? TFExample(parsing: bytes)
      }
      _ = try? TFExample(parsing: Array(good[..<place]))
    }
  }
}
