import Foundation

/// Writes a safetensors file, byte for byte as the Python package writes the same tensors.
///
/// ```swift
/// var writer = SafetensorsWriter(metadata: ["format": "pt"])
/// try writer.add("lora_A.weight", .float32, shape: [2, 3], data)
/// try writer.write(to: url)
/// ```
/// Tensors are laid out by type, the largest first, then by name, so that elements are aligned; the header is
/// padded with spaces to 8 bytes. Metadata goes by key (Python's order of several keys changes from run to run).
/// The file appears complete or not at all: see `AtomicFile`.
public struct SafetensorsWriter {
  /// Calls its argument with the bytes of a tensor, in order, in one piece or several.
  public typealias Provider = ((UnsafeRawBufferPointer) throws -> Void) throws -> Void

  private struct Entry {
    var name: String
    var dtype: SafetensorsDType
    var shape: [Int]
    var byteCount: Int
    var provider: Provider
  }

  /// `__metadata__`; nil leaves it out.
  public var metadata: [String: String]?
  private var entries: [Entry] = []
  private var names: Set<String> = []

  public init(metadata: [String: String]? = nil) { self.metadata = metadata }

  /// Adds a tensor whose bytes are asked for when the file is written.
  /// - Throws: `SafetensorsError` for a name that was added already or cannot be used, a shape that cannot be, too
  ///   many tensors. Nothing is added then.
  public mutating func add(
    _ name: String, _ dtype: SafetensorsDType, shape: [Int], from provider: @escaping Provider
  ) throws(SafetensorsError) {
    func refuse(_ problem: SafetensorsError.Problem) -> SafetensorsError {
      SafetensorsError(problem, file: "(to be written)", tensor: String(name.prefix(200)))
    }
    guard name.utf8.count <= SafetensorsLimits.nameBytes else { throw refuse(.nameTooLong(bytes: name.utf8.count)) }
    guard !name.isEmpty, name != "__metadata__", !name.utf8.contains(0) else { throw refuse(.nameUnusable) }
    guard shape.count <= SafetensorsLimits.dimensions else { throw refuse(.tooManyDimensions) }
    guard shape.allSatisfy({ $0 >= 0 }) else { throw refuse(.negativeExtent(shape: shape)) }
    guard let byteCount = TensorInfo.byteCount(of: shape, dtype) else {
      throw refuse(.sizeOverflows(shape: shape, dtype))
    }
    guard entries.count < SafetensorsLimits.tensors else {
      throw refuse(.tooManyTensors(limit: SafetensorsLimits.tensors))
    }
    guard names.insert(name).inserted else { throw refuse(.nameTwice) }
    entries.append(Entry(name: name, dtype: dtype, shape: shape, byteCount: byteCount, provider: provider))
  }

  /// Adds a tensor whose bytes, little-endian and row-major, are in memory.
  /// - Throws: `SafetensorsError`, also where the number of bytes is not that of the shape.
  public mutating func add(
    _ name: String, _ dtype: SafetensorsDType, shape: [Int], _ data: Data
  ) throws(SafetensorsError) {
    if let expected = TensorInfo.byteCount(of: shape, dtype), shape.allSatisfy({ $0 >= 0 }), expected != data.count {
      throw SafetensorsError(
        .bytesDiffer(expected: expected, given: data.count), file: "(to be written)", tensor: String(name.prefix(200)))
    }
    try add(name, dtype, shape: shape) { append in try data.withUnsafeBytes(append) }
  }

  /// Writes the file. What was under the name before stays until the new file is complete.
  /// - Throws: `SafetensorsError` where a provider gives too few or too many bytes, or the header exceeds the
  ///   format's limit; `FileError`; what a provider throws.
  public func write(to url: URL) throws { try write(to: url, maximumHeader: SafetensorsLimits.headerBytes) }

  func write(to url: URL, maximumHeader: Int) throws {
    let ordered = entries.sorted {
      $0.dtype == $1.dtype ? $0.name.precedesByCodePoints($1.name) : $0.dtype.writingOrder < $1.dtype.writingOrder
    }
    let header = try header(of: ordered, maximumBytes: maximumHeader, file: url.path)
    try AtomicFile.write(to: url) { output in
      try header.withUnsafeBytes { try output.append($0) }
      for entry in ordered {
        func refuse(_ given: Int) -> SafetensorsError {
          SafetensorsError(
            .bytesDiffer(expected: entry.byteCount, given: given), file: url.path, tensor: entry.name)
        }
        var given = 0
        try entry.provider { bytes in
          given += bytes.count
          guard given <= entry.byteCount else { throw refuse(given) }
          try output.append(bytes)
        }
        guard given == entry.byteCount else { throw refuse(given) }
      }
    }
  }

  private func header(of ordered: [Entry], maximumBytes: Int, file: String) throws -> [UInt8] {
    var header = JSONObject()
    if let metadata {
      guard metadata.count <= SafetensorsLimits.metadataKeys else {
        throw SafetensorsError(.tooManyMetadataKeys(limit: SafetensorsLimits.metadataKeys), file: file)
      }
      var sorted = JSONObject()
      for (key, value) in metadata.sorted(by: { $0.key.precedesByCodePoints($1.key) }) {
        sorted[key] = .string(value)
      }
      header["__metadata__"] = .object(sorted)
    }
    var offset = 0
    for entry in ordered {
      let (end, overflows) = offset.addingReportingOverflow(entry.byteCount)
      guard !overflows else {
        throw SafetensorsError(.sizeOverflows(shape: entry.shape, entry.dtype), file: file, tensor: entry.name)
      }
      header[entry.name] = [
        "dtype": .string(entry.dtype.rawValue), "shape": .array(entry.shape.map(JSONValue.integer)),
        "data_offsets": [.integer(offset), .integer(end)],
      ]
      offset = end
    }
    var text = try JSONValue.object(header).bytes(.compact)
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
    guard text.count <= maximumBytes else {
      throw SafetensorsError(.headerTooLong(bytes: UInt64(text.count), limit: maximumBytes), file: file)
    }
    return withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + text
  }
}
