/// The element types that are read and written, by the names they have on disk.
///
/// The format knows more (U16, U32, U64, complex, 8-bit floats and below); a file that uses them is refused by name.
public enum SafetensorsDType: String, CaseIterable, Sendable {
  case float64 = "F64"
  case float32 = "F32"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int64 = "I64"
  case int32 = "I32"
  case int16 = "I16"
  case int8 = "I8"
  case uint8 = "U8"
  case bool = "BOOL"

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16, .int16: 2
    case .int8, .uint8, .bool: 1
    }
  }

  /// The place in which the Python package writes a type: largest first, and among equals the order of the declarations
  /// in its `tensor.rs`, from the last to the first.
  var writingOrder: Int {
    switch self {
    case .int64: 0
    case .float64: 1
    case .float32: 2
    case .int32: 3
    case .bfloat16: 4
    case .float16: 5
    case .int16: 6
    case .int8: 7
    case .uint8: 8
    case .bool: 9
    }
  }
}
