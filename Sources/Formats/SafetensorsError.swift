/// Why a safetensors file was refused, or could not be written: the file, the tensor and the byte concerned.
public struct SafetensorsError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    // The file
    case unreadable(FileError)
    case lookalike(Lookalike)
    case shorterThanItsLength(bytes: Int)
    case headerTooLong(bytes: UInt64, limit: Int)
    case headerCutShort(bytes: Int, present: Int)
    case headerDoesNotOpen(UInt8?)
    case headerNotUTF8
    case headerNotJSON(JSONError.Problem)
    case paddingNotSpaces(UInt8)

    // The header
    case metadataNotAnObject
    case metadataNotAString(key: String)
    case metadataKeyTwice(key: String)
    case tooManyMetadataKeys(limit: Int)
    case tooManyTensors(limit: Int)
    case nameTooLong(bytes: Int)
    case nameUnusable
    case nameTwice
    case entryNotAnObject
    case fieldMissing(String)
    case fieldUnknown(String)
    case fieldTwice(String)
    case dtypeNotAString
    case dtypeUnsupported(String)
    case shapeNotAnArray
    case extentNotACount
    case tooManyDimensions
    case offsetsNotAPair
    case offsetNotACount
    case offsetsReversed(begin: Int, end: Int)

    // The data
    case sizeOverflows(shape: [Int], SafetensorsDType)
    case sizeDiffers(shape: [Int], SafetensorsDType, expected: Int, found: Int)
    /// Bytes that belong to no tensor before this one.
    case hole(bytes: Int)
    case overlap(with: String, bytes: Int)
    /// A tensor that ends after the file does.
    case dataCutShort(missing: Int)
    case trailingBytes(Int)

    // Using a file
    case noSuchTensor(suggestion: String)
    case negativeExtent(shape: [Int])
    case bytesDiffer(expected: Int, given: Int)
  }

  public var file: String
  public var tensor: String?
  /// Bytes from the start of the file.
  public var offset: Int?
  public var problem: Problem

  public init(_ problem: Problem, file: String, tensor: String? = nil, offset: Int? = nil) {
    self.problem = problem
    self.file = file
    self.tensor = tensor
    self.offset = offset
  }

  public var description: String {
    if case .unreadable(let error) = problem { return error.description }
    // A hostile name must not flood a terminal or move its cursor.
    let tensor = tensor.map { ", tensor \(String($0.prefix(200)).debugDescription)" } ?? ""
    let offset = offset.map { ", byte \($0)" } ?? ""
    let text = "'\(file)'\(tensor)\(offset): \(problem.explanation)"
    return text.hasSuffix("?") ? text : text + "."
  }
}

extension SafetensorsError.Problem {
  fileprivate var explanation: String {
    switch self {
    case .unreadable(let error): "\(error)"
    case .lookalike(let lookalike): lookalike.explanation
    case .shorterThanItsLength(let bytes):
      "the file has \(bytes) bytes; the length of a safetensors header alone takes 8. \(Self.again)"
    case .headerTooLong(let bytes, let limit):
      """
      the header claims \(bytes) bytes, and the format allows \(limit). \
      This is not a safetensors file, or it is damaged
      """
    case .headerCutShort(let bytes, let present):
      "the header claims \(bytes) bytes and \(present) follow. \(Self.again)"
    case .headerDoesNotOpen(let byte):
      """
      the header \(byte.map { "starts with \(describe($0))" } ?? "is empty") instead of '{'. \
      This is not a safetensors file, or it is damaged
      """
    case .headerNotUTF8: "the header is not valid UTF-8"
    case .headerNotJSON(let problem): "the header is not the JSON it should be: \(problem)"
    case .paddingNotSpaces(let byte):
      "the header is padded with \(describe(byte)); the format pads with spaces only"
    case .metadataNotAnObject: "\"__metadata__\" is not an object of strings"
    case .metadataNotAString(let key): "\"__metadata__\" holds something else than a string under '\(key.prefix(200))'"
    case .metadataKeyTwice(let key): "the key '\(key.prefix(200))' is given twice in one object"
    case .tooManyMetadataKeys(let limit): "\"__metadata__\" has more than \(limit) keys"
    case .tooManyTensors(let limit): "the header lists more than \(limit) tensors"
    case .nameTooLong(let bytes):
      "the name of the tensor has \(bytes) bytes; \(SafetensorsLimits.nameBytes) are allowed"
    case .nameUnusable: "the name of the tensor is empty, reserved, or holds a NUL"
    case .nameTwice: "the tensor is given twice"
    case .entryNotAnObject: "the entry of the tensor is not an object"
    case .fieldMissing(let field): "the entry has no \"\(field)\""
    case .fieldUnknown(let field):
      "the entry has a field \(String(field.prefix(200)).debugDescription), which the format does not know"
    case .fieldTwice(let field): "the entry has \"\(field)\" twice"
    case .dtypeNotAString: "\"dtype\" is not a string"
    case .dtypeUnsupported(let name):
      """
      the dtype \(String(name.prefix(40)).debugDescription) is not supported; supported are \
      \(SafetensorsDType.allCases.map(\.rawValue).joined(separator: ", ")). Convert the tensor first
      """
    case .shapeNotAnArray: "\"shape\" is not an array"
    case .extentNotACount: "an extent of \"shape\" is not a whole number from 0 up to \(Int.max)"
    case .tooManyDimensions: "\"shape\" has more than \(SafetensorsLimits.dimensions) dimensions"
    case .offsetsNotAPair: "\"data_offsets\" is not a pair [begin, end]"
    case .offsetNotACount: "an offset is not a whole number from 0 up to \(Int.max)"
    case .offsetsReversed(let begin, let end): "the data ends at \(end), before it begins at \(begin)"
    case .sizeOverflows(let shape, let dtype):
      "a \(dtype.rawValue) tensor of shape \(shape) has more bytes than a file can have"
    case .sizeDiffers(let shape, let dtype, let expected, let found):
      "a \(dtype.rawValue) tensor of shape \(shape) has \(expected) bytes, and its offsets span \(found)"
    case .hole(let bytes): "\(bytes) bytes before the data of this tensor belong to none"
    case .overlap(let other, let bytes):
      "the first \(bytes) bytes of its data belong to \(String(other.prefix(200)).debugDescription) already"
    case .dataCutShort(let missing): "the file ends \(missing) bytes before the data of this tensor. \(Self.again)"
    case .trailingBytes(let count): "\(count) bytes after the last tensor belong to none"
    case .noSuchTensor(let suggestion): "there is no such tensor" + (suggestion.isEmpty ? "" : "." + suggestion)
    case .negativeExtent(let shape): "the shape \(shape) has a negative extent"
    case .bytesDiffer(let expected, let given): "\(given) bytes were given for a tensor of \(expected)"
    }
  }

  private static let again = "The file was cut short: copy or download it again"
}
