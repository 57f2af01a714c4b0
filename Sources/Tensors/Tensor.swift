import CTorch

/// A dense array of numbers on a device, with gradients where asked for.
///
/// Operations make new tensors and throw `TorchError`; methods that change a tensor in place end their first word in
/// `InPlace`. Dimensions may be negative, counted from the end. Shapes are written `[batch, tokens, features]`.
///
/// `@unchecked Sendable`: a handle is an immutable reference whose count libtorch keeps atomically, and operations that
/// only read may run at once. Changing a tensor in place while another task uses it is a race, as with any buffer;
/// models and optimizers here keep to one task at a time.
public struct Tensor: @unchecked Sendable {
  final class Handle {
    let raw: CTTensor
    init(_ raw: CTTensor) { self.raw = raw }
    deinit { ct_tensor_release(raw) }
  }

  let handle: Handle
  /// Good while the handle lives: operations pass `self` to `Torch`, which keeps it; others use `reading`.
  var raw: CTTensor { handle.raw }

  private func reading<Result>(_ body: (CTTensor) -> Result) -> Result {
    withExtendedLifetime(handle) { body(handle.raw) }
  }

  init(adopting raw: CTTensor) { handle = Handle(raw) }

  // MARK: Making tensors

  /// The numbers in row-major order.
  ///
  /// - Throws: `TensorError.count` if there are more or fewer numbers than `shape` holds.
  public init<Element: TensorElement>(_ numbers: [Element], shape: [Int]? = nil) throws {
    let shape = shape ?? [numbers.count]
    guard let count = Tensor.count(of: shape), count == numbers.count else {
      throw TensorError.count(numbers.count, shape: shape)
    }
    self = try numbers.withUnsafeBytes { try Tensor(bytes: $0, shape: shape, dtype: Element.dtype) }
  }

  /// One number, of shape `[]`.
  public init<Element: TensorElement>(_ number: Element) throws { try self.init([number], shape: []) }

  /// A copy of `bytes`, row-major, in the machine's byte order.
  ///
  /// - Throws: `TensorError.count` if `bytes` is not exactly as long as `shape` and `dtype` say.
  public init(bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) throws {
    guard Tensor.count(of: shape + [dtype.size]) == bytes.count else {
      throw TensorError.count(bytes.count / dtype.size, shape: shape)
    }
    self = try Torch.tensor("tensor") { out, failure in
      shape.withSizes { ct_from_bytes(bytes.baseAddress, $0, $1, dtype.code, out, failure) }
    }
  }

  /// Wraps `bytes` without a copy; `owner` is kept alive as long as any tensor looks at them.
  ///
  /// The memory must not be written to by anyone while tensors share it, and the tensor must not be changed in place
  /// where it is read-only (a mapped file). Bytes that are not aligned for `dtype`, and truth values, are copied after
  /// all, and the owner is let go.
  public init(
    sharing bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType, owner: any AnyObject & Sendable
  ) throws {
    guard Tensor.count(of: shape + [dtype.size]) == bytes.count else {
      throw TensorError.count(bytes.count / dtype.size, shape: shape)
    }
    guard !bytes.isEmpty, dtype != .bool, Int(bitPattern: bytes.baseAddress) % dtype.size == 0 else {
      self = try Tensor(bytes: bytes, shape: shape, dtype: dtype)
      return
    }
    let context = Unmanaged<AnyObject>.passRetained(owner).toOpaque()
    self = try Torch.tensor("tensor") { out, failure in
      shape.withSizes { sizes, rank in
        // From here the owner is libtorch's: it lets go even where wrapping fails.
        ct_from_memory(
          UnsafeMutableRawPointer(mutating: bytes.baseAddress), sizes, rank, dtype.code, releaseOwner, context, out,
          failure)
      }
    }
  }

  public static func full(_ value: Double, _ shape: [Int], dtype: DType = .float32, device: Device = .cpu) throws
    -> Tensor
  {
    try device.checkAvailable()
    return try Torch.tensor("full") { out, failure in
      shape.withSizes {
        ct_full($0, $1, value, dtype.code, device.kind, Int32(clamping: device.index), out, failure)
      }
    }
  }

  public static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) throws -> Tensor {
    try full(0, shape, dtype: dtype, device: device)
  }

  public static func ones(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) throws -> Tensor {
    try full(1, shape, dtype: dtype, device: device)
  }

  public func zerosLike() throws -> Tensor { try .zeros(shape, dtype: dtype, device: device) }

  /// `range` as int64, or another dtype.
  public static func arange(_ range: Range<Int>, dtype: DType = .int64) throws -> Tensor {
    try Torch.tensor("arange") {
      ct_arange(Int64(range.lowerBound), Int64(range.upperBound), 1, dtype.code, $0, $1)
    }
  }

  /// Ones on the diagonal of `[rows, columns]`.
  public static func identity(_ rows: Int, _ columns: Int? = nil, dtype: DType = .float32) throws -> Tensor {
    try Torch.tensor("identity") { ct_eye(Int64(rows), Int64(columns ?? rows), dtype.code, $0, $1) }
  }

  // MARK: Description

  public var rank: Int { Int(reading(ct_tensor_rank)) }

  public var shape: [Int] {
    var sizes = [Int64](repeating: 0, count: rank)
    reading { ct_tensor_sizes($0, &sizes) }
    return sizes.map(Int.init)
  }

  /// The size of one dimension; nil where there is no such dimension.
  public func size(_ dimension: Int) -> Int? {
    let shape = shape
    let index = dimension < 0 ? shape.count + dimension : dimension
    return shape.indices.contains(index) ? shape[index] : nil
  }

  public var count: Int { Int(reading(ct_tensor_count)) }

  public var dtype: DType {
    // Every tensor here was made by an operation on the dtypes named in `DType`.
    DType(rawValue: reading(ct_tensor_dtype)) ?? .float32
  }

  public var device: Device {
    var kind = CT_CPU
    var index: Int32 = 0
    reading { ct_tensor_device($0, &kind, &index) }
    return kind == CT_CUDA ? .cuda(Int(index)) : kind == CT_MPS ? .mps : .cpu
  }

  public var isContiguous: Bool { reading(ct_tensor_is_contiguous) }

  /// Whether both look at the same memory.
  public func sharesStorage(with other: Tensor) -> Bool {
    reading { raw in other.reading { ct_tensor_shares_storage(raw, $0) } }
  }

  /// `[2, 3] float32`, with the device unless it is the CPU.
  public var summary: String { "\(shape) \(dtype)" + (device == .cpu ? "" : " \(device)") }

  // MARK: Reading values

  /// The only element of a tensor of one element.
  public func item() throws -> Double {
    var value = 0.0
    try Torch.call("item", self) { ct_item(raw, &value, $0) }
    return value
  }

  /// The only element of an integer tensor of one element.
  public func integer() throws -> Int {
    var value: Int64 = 0
    try Torch.call("integer", self) { ct_item_integer(raw, &value, $0) }
    return Int(value)
  }

  /// All elements in row-major order.
  ///
  /// - Throws: `TensorError.dtype` unless the tensor's dtype is the element's; convert with `to(_:)` first.
  public func array<Element: TensorElement>(of type: Element.Type = Element.self) throws -> [Element] {
    guard dtype == Element.dtype else { throw TensorError.dtype(dtype, wanted: Element.dtype) }
    let count = count
    return try [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      try Torch.call("array", self) {
        ct_copy_bytes(raw, buffer.baseAddress, count * MemoryLayout<Element>.stride, $0)
      }
      initialized = count
    }
  }

  /// All elements as `Float`, whatever the dtype.
  public func floats() throws -> [Float] { try to(.float32).array() }

  /// All elements as `Double`, whatever the dtype.
  public func doubles() throws -> [Double] { try to(.float64).array() }

  /// All elements of an integer tensor.
  public func integers() throws -> [Int] { try to(.int64).array(of: Int64.self).map(Int.init) }

  /// The bytes in row-major order.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    let dense = try detached().to(.cpu).contiguous()
    return try withExtendedLifetime(dense) {
      try body(UnsafeRawBufferPointer(start: ct_tensor_data(dense.raw), count: dense.count * dense.dtype.size))
    }
  }

  /// The elements of a contiguous CPU tensor, in place and without a copy.
  ///
  /// - Throws: `TensorError.dtype`, or `TensorError.layout` for another device or a strided view.
  public func withMutableElements<Element: TensorElement, Result>(
    of type: Element.Type, _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
  ) throws -> Result {
    guard dtype == Element.dtype else { throw TensorError.dtype(dtype, wanted: Element.dtype) }
    guard count > 0 else { return try body(UnsafeMutableBufferPointer(start: nil, count: 0)) }
    guard let data = reading(ct_tensor_data) else { throw TensorError.layout(summary) }
    return try withExtendedLifetime(handle) {
      try body(UnsafeMutableBufferPointer(start: data.assumingMemoryBound(to: Element.self), count: count))
    }
  }

  // MARK: Comparing

  /// Whether every element differs by at most `tolerance + relative · |other|`; shapes must agree.
  public func isClose(to other: Tensor, tolerance: Double = 1e-6, relative: Double = 0) throws -> Bool {
    guard shape == other.shape else { return false }
    var close = false
    try Torch.call("isClose", self, other) { ct_all_close(raw, other.raw, relative, tolerance, &close, $0) }
    return close
  }

  /// Whether shapes, dtypes and every element are the same.
  public func isEqual(to other: Tensor) throws -> Bool {
    guard dtype == other.dtype, shape == other.shape else { return false }
    var equal = false
    try Torch.call("isEqual", self, other) { ct_equal(raw, other.raw, &equal, $0) }
    return equal
  }

  /// The largest absolute difference.
  public func distance(to other: Tensor) throws -> Double {
    count == 0 ? 0 : try (self - other).abs().max().item()
  }

  // MARK: Conversion

  public func to(_ dtype: DType) throws -> Tensor { try converted(dtype, device, copy: false) }

  /// - Throws: `DeviceError.absent` where there is no such device.
  public func to(_ device: Device) throws -> Tensor {
    try device.checkAvailable()
    return try converted(dtype, device, copy: false)
  }

  public func clone() throws -> Tensor { try Torch.tensor("clone", self) { ct_clone(raw, $0, $1) } }

  public func contiguous() throws -> Tensor { try Torch.tensor("contiguous", self) { ct_contiguous(raw, $0, $1) } }

  private func converted(_ dtype: DType, _ device: Device, copy: Bool) throws -> Tensor {
    try Torch.tensor("to", self) {
      ct_to(raw, dtype.code, device.kind, Int32(clamping: device.index), copy, $0, $1)
    }
  }

  /// The product of the sizes; nil where one is negative or the product overflows.
  static func count(of shape: [Int]) -> Int? {
    var count = 1
    for size in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard size >= 0, !overflow else { return nil }
      count = product
    }
    return count
  }
}

extension Tensor: CustomStringConvertible {
  public var description: String {
    let limit = 16
    guard count <= limit, let values = try? doubles() else { return "Tensor(\(summary))" }
    return "Tensor(\(summary): \(values))"
  }
}

public enum TensorError: Error, Equatable, CustomStringConvertible {
  case count(Int, shape: [Int])
  case dtype(DType, wanted: DType)
  case layout(String)

  public var description: String {
    switch self {
    case .count(let count, let shape): "\(count) elements do not fill the shape \(shape)."
    case .dtype(let found, let wanted): "A \(found) tensor is not \(wanted). Convert it with to(.\(wanted))."
    case .layout(let summary): "The tensor \(summary) is not one dense block in memory. Use contiguous() or to(.cpu)."
    }
  }
}

private func releaseOwner(_ context: UnsafeMutableRawPointer?) {
  guard let context else { return }
  Unmanaged<AnyObject>.fromOpaque(context).release()
}

extension [Int] {
  /// The sizes as C wants them.
  @inline(__always)
  func withSizes<Result>(_ body: (UnsafePointer<Int64>?, Int32) throws -> Result) rethrows -> Result {
    try map(Int64.init).withUnsafeBufferPointer { try body($0.baseAddress, Int32($0.count)) }
  }
}

extension [Tensor] {
  @inline(__always)
  func withHandles<Result>(_ body: (UnsafePointer<CTTensor?>?, Int32) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(self) {
      try map { Optional($0.raw) }.withUnsafeBufferPointer { try body($0.baseAddress, Int32($0.count)) }
    }
  }
}
