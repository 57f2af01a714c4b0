/// A JSON value where an encoder or a decoder wants a codable one.
package struct CodedJSON: Codable, Equatable, Sendable {
  package let value: JSONValue

  package init(_ value: JSONValue) { self.value = value }

  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  package init(from decoder: any Decoder) throws {
    if let keyed = try? decoder.container(keyedBy: Key.self) {
      var object = JSONObject()
      for key in keyed.allKeys.sorted(by: { $0.stringValue < $1.stringValue }) {
        object[key.stringValue] = try keyed.decode(CodedJSON.self, forKey: key).value
      }
      value = .object(object)
    } else if var list = try? decoder.unkeyedContainer() {
      var values: [JSONValue] = []
      while !list.isAtEnd { values.append(try list.decode(CodedJSON.self).value) }
      value = .array(values)
    } else {
      let single = try decoder.singleValueContainer()
      if single.decodeNil() {
        value = .null
      } else if let bool = try? single.decode(Bool.self) {
        value = .bool(bool)
      } else if let integer = try? single.decode(Int.self) {
        value = .integer(integer)
      } else if let number = try? single.decode(Double.self) {
        value = .double(number)
      } else {
        value = .string(try single.decode(String.self))
      }
    }
  }

  package func encode(to encoder: any Encoder) throws {
    switch value {
    case .object(let object):
      var keyed = encoder.container(keyedBy: Key.self)
      for (key, value) in object.members { try keyed.encode(CodedJSON(value), forKey: Key(stringValue: key)) }
    case .array(let values):
      var list = encoder.unkeyedContainer()
      for value in values { try list.encode(CodedJSON(value)) }
    case .null:
      var single = encoder.singleValueContainer()
      try single.encodeNil()
    case .bool(let value):
      var single = encoder.singleValueContainer()
      try single.encode(value)
    case .integer(let value):
      var single = encoder.singleValueContainer()
      try single.encode(value)
    case .double(let value):
      var single = encoder.singleValueContainer()
      try single.encode(value)
    case .string(let value):
      var single = encoder.singleValueContainer()
      try single.encode(value)
    }
  }
}
