/// The header of a safetensors file, read and checked against everything the format promises.
///
/// The rules of github.com/huggingface/safetensors, `tensor.rs`: 8 bytes of length, little-endian; at most 100 MB
/// of UTF-8 JSON that opens with `{` and may be padded with spaces; tensors that fill the rest of the file in some
/// order, from its first byte to its last, without hole or overlap. Where its reader is lenient we are not: an unknown
/// field, and a name given twice, are refused.
struct SafetensorsHeader {
  var tensors: [TensorInfo] = []
  /// Nil where the file has none.
  var metadata: [String: String]?

  private static let lengthBytes = 8

  /// - Parameter bytes: the whole file.
  init(
    _ bytes: UnsafeRawBufferPointer, file: String, maximumTensors: Int = SafetensorsLimits.tensors
  ) throws(SafetensorsError) {
    func refuse(_ problem: SafetensorsError.Problem, at offset: Int) -> SafetensorsError {
      // Whatever is wrong with the first bytes, a file known to be something else is called by its name.
      Lookalike(bytes).map { SafetensorsError(.lookalike($0), file: file) }
        ?? SafetensorsError(problem, file: file, offset: offset)
    }
    guard bytes.count >= Self.lengthBytes else { throw refuse(.shorterThanItsLength(bytes: bytes.count), at: 0) }
    let claimed = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard claimed <= SafetensorsLimits.headerBytes else {
      throw refuse(.headerTooLong(bytes: claimed, limit: SafetensorsLimits.headerBytes), at: 0)
    }
    let length = Int(claimed)
    let present = bytes.count - Self.lengthBytes
    guard length <= present else { throw refuse(.headerCutShort(bytes: length, present: present), at: 0) }
    let text = UnsafeRawBufferPointer(rebasing: bytes[Self.lengthBytes..<Self.lengthBytes + length])
    guard text.first == UInt8(ascii: "{") else { throw refuse(.headerDoesNotOpen(text.first), at: Self.lengthBytes) }

    var reader = try Reader(text, file: file, start: Self.lengthBytes)
    let dataStart = Self.lengthBytes + length
    try reader.readHeader(dataStart: dataStart, maximumTensors: maximumTensors)
    (tensors, metadata) = (reader.tensors, reader.metadata)

    // Empty tensors share a place with their neighbour, and come before it. Names settle the rest.
    tensors.sort {
      let (left, right) = ($0.byteRange, $1.byteRange)
      return left == right
        ? $0.name.precedesByCodePoints($1.name)
        : (left.lowerBound, left.upperBound) < (right.lowerBound, right.upperBound)
    }
    try checkLayout(dataStart: dataStart, fileSize: bytes.count, file: file)
  }

  /// Every byte after the header belongs to exactly one tensor.
  private func checkLayout(dataStart: Int, fileSize: Int, file: String) throws(SafetensorsError) {
    var end = dataStart
    var last = ""
    for tensor in tensors {
      func refuse(_ problem: SafetensorsError.Problem, at offset: Int) -> SafetensorsError {
        SafetensorsError(problem, file: file, tensor: tensor.name, offset: offset)
      }
      let range = tensor.byteRange
      guard range.lowerBound <= end else { throw refuse(.hole(bytes: range.lowerBound - end), at: end) }
      guard range.lowerBound == end else {
        let shared = min(end, range.upperBound) - range.lowerBound
        throw refuse(.overlap(with: last, bytes: shared), at: range.lowerBound)
      }
      guard range.upperBound <= fileSize else {
        throw refuse(.dataCutShort(missing: range.upperBound - fileSize), at: fileSize)
      }
      (end, last) = (range.upperBound, tensor.name)
    }
    guard end == fileSize else { throw SafetensorsError(.trailingBytes(fileSize - end), file: file, offset: end) }
  }
}

/// Reads the entries straight from the bytes, so that an error knows its own.
private struct Reader {
  private var scanner: JSONScanner
  private let text: UnsafeRawBufferPointer
  private let file: String
  /// The place of the text in the file.
  private let start: Int
  private var names: Set<String> = []

  var tensors: [TensorInfo] = []
  var metadata: [String: String]?

  init(_ text: UnsafeRawBufferPointer, file: String, start: Int) throws(SafetensorsError) {
    var limits = JSONLimits()
    limits.bytes = SafetensorsLimits.headerBytes
    limits.values = .max  // the entries are counted instead, and nothing else is kept
    do {
      scanner = try JSONScanner(text, limits: limits)
    } catch {
      throw Self.error(error, file: file, tensor: nil, start: start)
    }
    (self.text, self.file, self.start) = (text, file, start)
  }

  private static func error(_ error: JSONError, file: String, tensor: String?, start: Int) -> SafetensorsError {
    let problem: SafetensorsError.Problem =
      error.problem == .notUTF8 ? .headerNotUTF8 : .headerNotJSON(error.problem)
    return SafetensorsError(problem, file: file, tensor: tensor, offset: start + error.offset)
  }

  /// Runs one step of the scanner, its errors turned into ours.
  private mutating func scan<Value>(
    in tensor: String? = nil, _ step: (inout JSONScanner) throws(JSONError) -> Value
  ) throws(SafetensorsError) -> Value {
    do { return try step(&scanner) } catch { throw Self.error(error, file: file, tensor: tensor, start: start) }
  }

  /// The next byte and its place in the text.
  private mutating func next(in tensor: String?) throws(SafetensorsError) -> (byte: UInt8, offset: Int) {
    let byte = try scan(in: tensor) { scanner throws(JSONError) in try scanner.peek(expecting: "a value") }
    return (byte, scanner.position)
  }

  private func refuse(
    _ problem: SafetensorsError.Problem, tensor: String? = nil, at offset: Int
  ) -> SafetensorsError {
    SafetensorsError(problem, file: file, tensor: tensor, offset: start + offset)
  }

  mutating func readHeader(dataStart: Int, maximumTensors: Int) throws(SafetensorsError) {
    try scan { scanner throws(JSONError) in try scanner.enterObject() }
    var isFirst = true
    while let (name, offset) = try scan({ scanner throws(JSONError) in try scanner.nextKey(isFirst: isFirst) }) {
      isFirst = false
      // Before it is hashed, and before a name of megabytes gets into an error.
      guard name.utf8.count <= SafetensorsLimits.nameBytes else {
        throw refuse(.nameTooLong(bytes: name.utf8.count), tensor: String(name.prefix(64)), at: offset)
      }
      guard names.insert(name).inserted else {
        throw name == "__metadata__"
          ? refuse(.metadataKeyTwice(key: name), at: offset) : refuse(.nameTwice, tensor: name, at: offset)
      }
      if name == "__metadata__" {
        try readMetadata()
        continue
      }
      guard !name.isEmpty, !name.utf8.contains(0) else { throw refuse(.nameUnusable, tensor: name, at: offset) }
      guard tensors.count < maximumTensors else {
        throw refuse(.tooManyTensors(limit: maximumTensors), tensor: name, at: offset)
      }
      tensors.append(try readEntry(name, dataStart: dataStart))
    }
    for offset in scanner.position..<text.count where text[offset] != UInt8(ascii: " ") {
      throw refuse(.paddingNotSpaces(text[offset]), at: offset)
    }
  }

  private mutating func readMetadata() throws(SafetensorsError) {
    let (byte, offset) = try next(in: nil)
    guard byte == UInt8(ascii: "{") else { throw refuse(.metadataNotAnObject, at: offset) }
    try scan { scanner throws(JSONError) in try scanner.enterObject() }
    var metadata: [String: String] = [:]
    while let (key, offset) = try scan({ scanner throws(JSONError) in
      try scanner.nextKey(isFirst: metadata.isEmpty)
    }) {
      guard metadata.count < SafetensorsLimits.metadataKeys else {
        throw refuse(.tooManyMetadataKeys(limit: SafetensorsLimits.metadataKeys), at: offset)
      }
      let (byte, valueOffset) = try next(in: nil)
      guard byte == UInt8(ascii: "\"") else { throw refuse(.metadataNotAString(key: key), at: valueOffset) }
      let value = try scan { scanner throws(JSONError) in try scanner.string() }
      guard metadata.updateValue(value, forKey: key) == nil else {
        throw refuse(.metadataKeyTwice(key: key), at: offset)
      }
    }
    self.metadata = metadata
  }

  private mutating func readEntry(_ name: String, dataStart: Int) throws(SafetensorsError) -> TensorInfo {
    let (byte, entry) = try next(in: name)
    guard byte == UInt8(ascii: "{") else { throw refuse(.entryNotAnObject, tensor: name, at: entry) }
    try scan(in: name) { scanner throws(JSONError) in try scanner.enterObject() }
    var dtype: SafetensorsDType?
    var shape: [Int]?
    var offsets: (begin: Int, end: Int, at: Int)?
    var isFirst = true
    while let (field, offset) = try scan(
      in: name,
      { scanner throws(JSONError) in
        try scanner.nextKey(isFirst: isFirst)
      })
    {
      isFirst = false
      switch field {
      case "dtype" where dtype == nil: dtype = try readDType(name)
      case "shape" where shape == nil: shape = try readShape(name)
      case "data_offsets" where offsets == nil: offsets = try readOffsets(name)
      case "dtype", "shape", "data_offsets": throw refuse(.fieldTwice(field), tensor: name, at: offset)
      default: throw refuse(.fieldUnknown(field), tensor: name, at: offset)
      }
    }
    guard let dtype else { throw refuse(.fieldMissing("dtype"), tensor: name, at: entry) }
    guard let shape else { throw refuse(.fieldMissing("shape"), tensor: name, at: entry) }
    guard let offsets else { throw refuse(.fieldMissing("data_offsets"), tensor: name, at: entry) }

    let (begin, end, at) = offsets
    guard begin <= end else { throw refuse(.offsetsReversed(begin: begin, end: end), tensor: name, at: at) }
    guard let expected = TensorInfo.byteCount(of: shape, dtype) else {
      throw refuse(.sizeOverflows(shape: shape, dtype), tensor: name, at: entry)
    }
    guard expected == end - begin else {
      throw refuse(
        .sizeDiffers(shape: shape, dtype, expected: expected, found: end - begin), tensor: name, at: at)
    }
    let (fileEnd, overflows) = end.addingReportingOverflow(dataStart)
    guard !overflows else { throw refuse(.sizeOverflows(shape: shape, dtype), tensor: name, at: at) }
    return TensorInfo(name: name, dtype: dtype, shape: shape, byteRange: dataStart + begin..<fileEnd)
  }

  private mutating func readDType(_ name: String) throws(SafetensorsError) -> SafetensorsDType {
    let (byte, offset) = try next(in: name)
    guard byte == UInt8(ascii: "\"") else { throw refuse(.dtypeNotAString, tensor: name, at: offset) }
    let text = try scan(in: name) { scanner throws(JSONError) in try scanner.string() }
    guard let dtype = SafetensorsDType(rawValue: text) else {
      throw refuse(.dtypeUnsupported(text), tensor: name, at: offset)
    }
    return dtype
  }

  private mutating func readShape(_ name: String) throws(SafetensorsError) -> [Int] {
    let (byte, offset) = try next(in: name)
    guard byte == UInt8(ascii: "[") else { throw refuse(.shapeNotAnArray, tensor: name, at: offset) }
    try scan(in: name) { scanner throws(JSONError) in try scanner.enterArray() }
    var shape: [Int] = []
    while try scan(in: name, { scanner throws(JSONError) in try scanner.nextElement(isFirst: shape.isEmpty) }) {
      guard shape.count < SafetensorsLimits.dimensions else {
        throw refuse(.tooManyDimensions, tensor: name, at: offset)
      }
      shape.append(try readCount(name, otherwise: .extentNotACount))
    }
    return shape
  }

  private mutating func readOffsets(_ name: String) throws(SafetensorsError) -> (begin: Int, end: Int, at: Int) {
    let (byte, offset) = try next(in: name)
    guard byte == UInt8(ascii: "[") else { throw refuse(.offsetsNotAPair, tensor: name, at: offset) }
    try scan(in: name) { scanner throws(JSONError) in try scanner.enterArray() }
    var pair: [Int] = []
    while try scan(in: name, { scanner throws(JSONError) in try scanner.nextElement(isFirst: pair.isEmpty) }) {
      guard pair.count < 2 else { throw refuse(.offsetsNotAPair, tensor: name, at: offset) }
      pair.append(try readCount(name, otherwise: .offsetNotACount))
    }
    guard pair.count == 2 else { throw refuse(.offsetsNotAPair, tensor: name, at: offset) }
    return (pair[0], pair[1], offset)
  }

  /// A whole number, not negative, written as one.
  private mutating func readCount(
    _ name: String, otherwise problem: SafetensorsError.Problem
  ) throws(SafetensorsError) -> Int {
    let (byte, offset) = try next(in: name)
    guard byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else {
      throw refuse(problem, tensor: name, at: offset)
    }
    let number: JSONValue
    do { number = try scanner.number() } catch {
      guard case .numberOutOfRange = error.problem else {
        throw Self.error(error, file: file, tensor: name, start: start)
      }
      throw refuse(problem, tensor: name, at: offset)
    }
    guard byte != UInt8(ascii: "-"), let count = number.integer else { throw refuse(problem, tensor: name, at: offset) }
    return count
  }
}
