/// What a safetensors header says about one tensor.
public struct TensorInfo: Equatable, Sendable {
  public var name: String
  public var dtype: SafetensorsDType
  /// Row-major; empty for a scalar.
  public var shape: [Int]
  /// Where the elements lie in the file. The start need not be a multiple of the element's size.
  public var byteRange: Range<Int>

  public var byteCount: Int { byteRange.count }
  public var elementCount: Int { byteRange.count / dtype.size }

  /// Bytes of a tensor, nil if they do not fit `Int`.
  ///
  /// Extents are multiplied before an extent of 0 can hide them: `[0, 2^62, 4]` overflows whatever is read of it.
  static func byteCount(of shape: [Int], _ dtype: SafetensorsDType) -> Int? {
    var count = dtype.size
    var isEmpty = false
    for extent in shape {
      if extent == 0 {
        isEmpty = true
        continue
      }
      let (product, overflows) = count.multipliedReportingOverflow(by: extent)
      if overflows { return nil }
      count = product
    }
    return isEmpty ? 0 : count
  }
}
