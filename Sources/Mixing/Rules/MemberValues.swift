/// A setting that is one number for all members, or one for each: `0.2` or `[0.2, 0.5]` in files.
public struct MemberValues: Codable, Hashable, Sendable, ExpressibleByFloatLiteral, ExpressibleByArrayLiteral {
  /// One, or as many as there are members.
  public let values: [Double]

  public init(_ values: [Double]) { self.values = values }
  public init(floatLiteral value: Double) { values = [value] }
  public init(arrayLiteral elements: Double...) { values = elements }

  /// That of a member, by its place among all of them.
  public subscript(member: Int) -> Double {
    values.count == 1 ? values[0] : values.indices.contains(member) ? values[member] : .nan
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Double.self) {
      values = [value]
    } else {
      values = try container.decode([Double].self)
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if values.count == 1 { try container.encode(values[0]) } else { try container.encode(values) }
  }
}
