import Foundation

/// A safetensors file, memory-mapped: the header is read and checked at once, the data when it is touched.
///
/// ```swift
/// let file = try SafetensorsFile(contentsOf: url)
/// for tensor in file.tensors { print(tensor.name, tensor.dtype, tensor.shape) }
/// let sum = try file.withBytes(of: "head.bias") { bytes in bytes.reduce(0) { $0 + Int($1) } }
/// ```
/// Not checked, because the format does not promise it: that floats are finite, that a BOOL is 0 or 1.
public final class SafetensorsFile: Sendable {
  public let url: URL
  /// In the order of their data.
  public let tensors: [TensorInfo]
  /// `__metadata__`; empty where the file has none.
  public let metadata: [String: String]

  let file: MappedFile
  private let places: [String: Int]

  /// - Throws: `SafetensorsError`, naming file, tensor and byte, for a file that breaks any rule of the format.
  public init(contentsOf url: URL, access: MappedFile.Access = .mapped) throws(SafetensorsError) {
    do {
      file = try MappedFile(contentsOf: url, access: access)
    } catch {
      throw SafetensorsError(.unreadable(error), file: url.path)
    }
    let header = try SafetensorsHeader(file.bytes, file: url.path)
    self.url = url
    tensors = header.tensors
    metadata = header.metadata ?? [:]
    places = Dictionary(uniqueKeysWithValues: header.tensors.enumerated().map { ($1.name, $0) })
  }

  public var names: [String] { tensors.map(\.name) }

  public subscript(name: String) -> TensorInfo? { places[name].map { tensors[$0] } }

  /// - Throws: `SafetensorsError` with the names most like it, if there is no such tensor.
  public func info(of name: String) throws(SafetensorsError) -> TensorInfo {
    guard let info = self[name] else {
      let suggestion = Suggestion.didYouMean(name, among: tensors.lazy.map(\.name))
      throw SafetensorsError(.noSuchTensor(suggestion: suggestion), file: url.path, tensor: name)
    }
    return info
  }

  /// The elements of a tensor, little-endian, row-major. They must not be written to.
  ///
  /// The pointer is valid for as long as this object lives: whoever keeps the pointer keeps the object. It need not be
  /// aligned to the element; `loadUnaligned` and `memcpy` do not mind.
  /// - Throws: `SafetensorsError` if there is no such tensor.
  public func bytes(of name: String) throws(SafetensorsError) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: file.bytes[try info(of: name).byteRange])
  }

  /// Lends the elements of a tensor to `body`, and keeps the file open meanwhile.
  /// - Throws: `SafetensorsError` if there is no such tensor; what `body` throws.
  public func withBytes<Result>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    try withExtendedLifetime(self) { try body(bytes(of: name)) }
  }
}
