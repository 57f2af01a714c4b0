import Tensors
import Testing

@Suite struct DTypeTests {
  @Test func `sizes and names are those of the formats`() {
    let table = DType.allCases.map { "\($0) \($0.size) \($0.isFloatingPoint)" }
    #expect(
      table == [
        "uint8 1 false", "int8 1 false", "int16 2 false", "int32 4 false", "int64 8 false", "float16 2 true",
        "float32 4 true", "float64 8 true", "bool 1 false", "bfloat16 2 true",
      ])
  }

  @Test func `Swift's numbers keep their dtype, to the extremes`() throws {
    func check<Element: TensorElement & Equatable>(_ numbers: [Element], _ dtype: DType) throws {
      let tensor = try Tensor(numbers)
      #expect(tensor.dtype == dtype)
      #expect(Element.dtype.size == MemoryLayout<Element>.size)
      #expect(try tensor.array(of: Element.self) == numbers)
    }
    try check([0, 255] as [UInt8], .uint8)
    try check([-128, 127] as [Int8], .int8)
    try check([.min, .max] as [Int16], .int16)
    try check([.min, .max] as [Int32], .int32)
    try check([.min, .max] as [Int64], .int64)
    try check([-.greatestFiniteMagnitude, .leastNonzeroMagnitude, .infinity] as [Float], .float32)
    try check([-.greatestFiniteMagnitude, .leastNonzeroMagnitude] as [Double], .float64)
    try check([true, false], .bool)
  }

  @Test func `half precisions round to nearest even`() throws {
    let tensor = try Tensor([1 + 1.0 / 256, 1 + 3.0 / 256, 65_504, 70_000] as [Double])
    #expect(try tensor.to(.bfloat16).doubles() == [1, 1 + 4.0 / 256, 65_536, 70_144])
    #expect(try tensor.to(.float16).doubles() == [1 + 1.0 / 256, 1 + 3.0 / 256, 65_504, .infinity])
  }
}
