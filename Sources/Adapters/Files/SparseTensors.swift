import Formats
import Foundation
import NeuralNetworks
import Tensors

/// Tensors that are mostly zeros, stored as what is not zero and where it is: in a safetensors file, in place of a tensor `X`,
///
/// | tensor             | holds                                                                                       |
/// |--------------------|---------------------------------------------------------------------------------------------|
/// | `X.sparse_values`  | the numbers that are not zero, in row-major order, in the tensor's own dtype                |
/// | `X.sparse_mask`    | uint8: a bit for each number, the lowest bit of the first byte the first, set where a value stands |
/// | `X.sparse_indices` | int32, in place of the mask where that is smaller: the places of the values, ascending      |
///
/// and in `graft.json`, under `sparse`, the shape of `X`. A number is zero where all of its bits are, so that what is read is what
/// was written, bit for bit.
struct SparseTensors: Equatable {
  /// The shapes of the tensors that are stored so, by name.
  private(set) var shapes: [String: [Int]] = [:]

  init() {}

  // MARK: Writing

  /// The tensors, matrices sparse where that takes fewer bytes.
  ///
  /// A matrix that is zero throughout stays as it is: that is the second factor of an adapter before its training. So do vectors:
  /// networks have biases that are zero in part.
  mutating func encoded(_ tensors: [(name: String, tensor: Tensor)]) throws -> [(name: String, tensor: Tensor)] {
    try tensors.flatMap { name, tensor -> [(name: String, tensor: Tensor)] in
      guard let parts = try Self.parts(of: tensor) else { return [(name, tensor)] }
      shapes[name] = tensor.shape
      return parts.map { ("\(name).\($0.part.rawValue)", $0.tensor) }
    }
  }

  private enum Part: String {
    case values = "sparse_values"
    case mask = "sparse_mask"
    case indices = "sparse_indices"
  }

  /// What the names and shapes of the additional tensors take in a file's header, about.
  private static let headerBytes = 160

  private static func parts(of tensor: Tensor) throws -> [(part: Part, tensor: Tensor)]? {
    guard tensor.rank > 1 else { return nil }
    return switch tensor.dtype {
    case .float16, .bfloat16: try parts(of: tensor, bits: UInt16.self)
    case .float32: try parts(of: tensor, bits: UInt32.self)
    case .float64: try parts(of: tensor, bits: UInt64.self)
    case .uint8, .int8, .int16, .int32, .int64, .bool: nil
    }
  }

  private static func parts<Bits: FixedWidthInteger>(of tensor: Tensor, bits: Bits.Type) throws -> [(
    part: Part, tensor: Tensor
  )]? {
    try tensor.withBytes { bytes in
      let numbers = bytes.assumingMemoryBound(to: Bits.self)
      let kept = numbers.count { $0 != 0 }
      let maskBytes = (numbers.count + 7) / 8
      let indexBytes = numbers.count <= Int32.max ? 4 * kept : Int.max
      let sparseBytes = kept * MemoryLayout<Bits>.size + min(maskBytes, indexBytes) + headerBytes
      guard kept > 0, sparseBytes < bytes.count else { return nil }
      let values = try numbers.filter { $0 != 0 }.withUnsafeBytes {
        try Tensor(bytes: $0, shape: [kept], dtype: tensor.dtype)
      }
      guard maskBytes <= indexBytes else {
        let places = numbers.indices.filter { numbers[$0] != 0 }
        return [(.values, values), (.indices, try Tensor(places.map { Int32($0) }))]
      }
      var mask = [UInt8](repeating: 0, count: maskBytes)
      for (place, number) in numbers.enumerated() where number != 0 { mask[place >> 3] |= 1 << UInt8(place & 7) }
      return [(.values, values), (.mask, try Tensor(mask))]
    }
  }

  /// For `graft.json`; nil where nothing is sparse.
  var json: JSONValue? {
    guard !shapes.isEmpty else { return nil }
    var object = JSONObject()
    for (name, shape) in shapes.sorted(by: { $0.key < $1.key }) { object[name] = .array(shape.map(JSONValue.integer)) }
    return .object(object)
  }

  // MARK: Reading

  /// - Parameter json: what `json` was; nil where the file had nothing sparse.
  /// - Throws: `SparseTensorError.details`
  init(json: JSONValue?) throws(SparseTensorError) {
    guard let json, !json.isNull else { return }
    guard let object = json.object else { throw .details }
    for (name, shape) in object.members {
      guard let extents = shape.array?.compactMap(\.integer), extents.count == shape.array?.count,
        extents.allSatisfy({ $0 >= 0 })
      else { throw .details }
      shapes[name] = extents
    }
  }

  /// The names of a file's tensors, each sparse one under its own.
  func names(of file: SafetensorsFile) -> Set<String> {
    var names = Set(file.names)
    for name in shapes.keys where names.contains("\(name).\(Part.values.rawValue)") && !names.contains(name) {
      let places = [Part.mask, .indices].map { "\(name).\($0.rawValue)" }.filter(names.contains)
      // With both, or with neither, the parts are left to be reported by the names they have.
      guard let place = places.first, places.count == 1 else { continue }
      names.subtract([place, "\(name).\(Part.values.rawValue)"])
      names.insert(name)
    }
    return names
  }

  /// A tensor of a file, dense.
  ///
  /// - Parameter expected: its shape; checked before anything of that size is made.
  /// - Throws: `SparseTensorError` where the parts do not go together; `AdapterFolderError.shape`.
  func tensor(_ name: String, in file: SafetensorsFile, expected: [Int]) throws -> Tensor {
    guard let shape = shapes[name], file[name] == nil else { return try file.tensor(name) }
    guard shape == expected else {
      throw AdapterFolderError.shape(name, file: file.url.path, expected: expected, found: shape)
    }
    let values = try file.tensor("\(name).\(Part.values.rawValue)")
    let count = shape.reduce(1, *)
    guard values.rank == 1, values.dtype.isFloatingPoint else { throw SparseTensorError.values(name, values.summary) }
    let maskName = "\(name).\(Part.mask.rawValue)"
    let places =
      try file[maskName] != nil
      ? Self.places(mask: file.tensor(maskName), count, name)
      : Self.places(indices: file.tensor("\(name).\(Part.indices.rawValue)"), count, name)
    guard places.count == values.count else {
      throw SparseTensorError.count(name, places: places.count, values: values.count)
    }
    let size = values.dtype.size
    var dense = [UInt8](repeating: 0, count: count * size)
    try values.withBytes { bytes in
      for (index, place) in places.enumerated() {
        for byte in 0..<size { dense[place * size + byte] = bytes[index * size + byte] }
      }
    }
    return try dense.withUnsafeBytes { try Tensor(bytes: $0, shape: shape, dtype: values.dtype) }
  }

  private static func places(mask: Tensor, _ count: Int, _ name: String) throws -> [Int] {
    guard mask.dtype == .uint8, mask.shape == [(count + 7) / 8] else {
      throw SparseTensorError.mask(name, mask.summary, numbers: count)
    }
    var places: [Int] = []
    for (index, byte) in try mask.array(of: UInt8.self).enumerated() {
      var left = byte
      while left != 0 {
        places.append(8 * index + left.trailingZeroBitCount)
        left &= left - 1
      }
    }
    if let last = places.last, last >= count { throw SparseTensorError.beyond(name, place: last, count: count) }
    return places
  }

  private static func places(indices: Tensor, _ count: Int, _ name: String) throws -> [Int] {
    guard indices.dtype == .int32, indices.rank == 1 else { throw SparseTensorError.indices(name, indices.summary) }
    let places = try indices.array(of: Int32.self).map(Int.init)
    for (index, place) in places.enumerated() {
      guard place >= 0, place < count else { throw SparseTensorError.beyond(name, place: place, count: count) }
      guard index == 0 || places[index - 1] < place else { throw SparseTensorError.order(name, place: place) }
    }
    return places
  }
}

/// A sparse tensor whose parts do not go together.
public enum SparseTensorError: Error, Equatable, CustomStringConvertible {
  case details
  case values(String, String)
  case mask(String, String, numbers: Int)
  case indices(String, String)
  case count(String, places: Int, values: Int)
  case beyond(String, place: Int, count: Int)
  case order(String, place: Int)

  public var description: String {
    switch self {
    case .details: "\"sparse\" in graft.json is no list of names with shapes. \(Self.remedy)"
    case .values(let name, let found):
      "The values of '\(name)' are \(found), not a row of floating-point numbers. \(Self.remedy)"
    case .mask(let name, let found, let count):
      "The mask of '\(name)' is \(found); \(count) numbers have one of \((count + 7) / 8) bytes, uint8. \(Self.remedy)"
    case .indices(let name, let found): "The indices of '\(name)' are \(found), not a row of int32. \(Self.remedy)"
    case .count(let name, let places, let values):
      "'\(name)' has \(values) values and places for \(places). \(Self.remedy)"
    case .beyond(let name, let place, let count):
      "'\(name)' has \(count) numbers, and a value for the place \(place). \(Self.remedy)"
    case .order(let name, let place):
      "The indices of '\(name)' do not ascend: \(place) comes where a larger one must. \(Self.remedy)"
    }
  }

  private static let remedy = "The files are damaged; copy the folder again."
}
