import Formats
import Tensors

/// A network's tensors under our names, and which of the file's tensors each came from.
struct CanonicalWeights {
  /// In the file's order of first use.
  private(set) var ordered: [(name: String, tensor: Tensor)] = []
  private(set) var sources: [String: [String]] = [:]
  private var places: [String: Int] = [:]

  subscript(name: String) -> Tensor? { places[name].map { ordered[$0].tensor } }

  /// - Throws: `LoadError.unaccounted` if there is none; whoever read the file has checked that all are there.
  func tensor(_ name: String) throws -> Tensor {
    guard let tensor = self[name] else { throw LoadError.unaccounted(folder: "the file", unknown: [], missing: [name]) }
    return tensor
  }

  mutating func set(_ name: String, _ tensor: Tensor, from sources: [String]) throws {
    if let known = self.sources[name] { throw LoadError.duplicate(name, known + sources) }
    places[name] = ordered.count
    ordered.append((name, tensor))
    self.sources[name] = sources
  }

  mutating func remove(_ name: String) -> Tensor? {
    guard let index = places[name] else { return nil }
    let tensor = ordered.remove(at: index).tensor
    sources[name] = nil
    places = Dictionary(uniqueKeysWithValues: ordered.enumerated().map { ($1.name, $0) })
    return tensor
  }

  mutating func reshape(_ name: String, _ shape: [Int]) throws {
    guard let index = places[name] else { return }
    let tensor = ordered[index].tensor
    guard tensor.count == shape.reduce(1, *) else {
      throw LoadError.shape(name, expected: shape, found: tensor.shape)
    }
    ordered[index].tensor = try tensor.reshaped(shape)
  }

  func moved(to device: Device) throws -> CanonicalWeights {
    guard device != .cpu else { return self }
    var moved = self
    for index in ordered.indices { moved.ordered[index].tensor = try ordered[index].tensor.to(device) }
    return moved
  }

  /// Sorted as the network runs: what stands outside the blocks, then block by block.
  func sorted() -> CanonicalWeights {
    var sorted = self
    func key(_ name: String) -> (Int, String) {
      let parts = name.split(separator: ".")
      return parts.first == "blocks" && parts.count > 1 ? (Int(parts[1]) ?? 0, name) : (-1, name)
    }
    sorted.ordered.sort { key($0.name) < key($1.name) }
    sorted.places = Dictionary(uniqueKeysWithValues: sorted.ordered.enumerated().map { ($1.name, $0) })
    return sorted
  }
}

extension SafetensorsFile {
  /// A tensor of the file, sharing the mapped memory. It must not be changed in place.
  public func tensor(_ name: String) throws -> Tensor {
    let info = try info(of: name)
    return try Tensor(sharing: bytes(of: name), shape: info.shape, dtype: DType(info.dtype), owner: self)
  }
}

extension ShardedSafetensors {
  /// A tensor of the folder, sharing the mapped memory. It must not be changed in place.
  public func tensor(_ name: String) throws -> Tensor { try file(of: name).tensor(name) }
}

extension DType {
  public init(_ dtype: SafetensorsDType) {
    switch dtype {
    case .float64: self = .float64
    case .float32: self = .float32
    case .float16: self = .float16
    case .bfloat16: self = .bfloat16
    case .int64: self = .int64
    case .int32: self = .int32
    case .int16: self = .int16
    case .int8: self = .int8
    case .uint8: self = .uint8
    case .bool: self = .bool
    }
  }
}

extension SafetensorsDType {
  public init(_ dtype: DType) {
    switch dtype {
    case .float64: self = .float64
    case .float32: self = .float32
    case .float16: self = .float16
    case .bfloat16: self = .bfloat16
    case .int64: self = .int64
    case .int32: self = .int32
    case .int16: self = .int16
    case .int8: self = .int8
    case .uint8: self = .uint8
    case .bool: self = .bool
    }
  }
}

extension SafetensorsWriter {
  /// Adds a tensor; its bytes are read when the file is written.
  public mutating func add(_ name: String, _ tensor: Tensor) throws {
    try add(name, SafetensorsDType(tensor.dtype), shape: tensor.shape) { consume in
      try tensor.withBytes(consume)
    }
  }
}
