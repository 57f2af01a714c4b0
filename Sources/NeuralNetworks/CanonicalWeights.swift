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

  func named(_ name: String) throws -> NamedTensor { NamedTensor(name: name, tensor: try tensor(name)) }

  func optional(_ name: String) -> NamedTensor? { self[name].map { NamedTensor(name: name, tensor: $0) } }

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

extension CanonicalWeights {
  /// The tensors of a file brought to ours: in float32, queries, keys and values in one.
  init(_ files: ShardedSafetensors, _ sources: WeightSources) throws {
    for place in sources.ordered {
      guard let source = sources.sources[place] else { continue }
      let tensors = try source.names.map { try Self.widened($0, in: files) }
      let tensor: Tensor =
        switch source {
        case .whole: tensors[0]
        case .transposed: try tensors[0].transposed().contiguous()
        case .parts: try .concatenated(tensors)
        }
      try set(place, tensor, from: source.names)
    }
  }

  /// A tensor of the file in float32, sharing the file's memory where it is stored so.
  private static func widened(_ name: String, in files: ShardedSafetensors) throws -> Tensor {
    let tensor = try files.tensor(name)
    guard tensor.dtype.isFloatingPoint else {
      throw LoadError.inferred("'\(name)' holds \(tensor.dtype) numbers.", "Quantized weights cannot be read.")
    }
    return try tensor.to(.float32)
  }

  /// How many blocks there are: one more than the last one's number. Which of them are whole is checked later.
  func depth() throws -> Int {
    let numbers = ordered.compactMap { name, _ in
      name.hasPrefix("blocks.") ? Int(name.split(separator: ".")[1]) : nil
    }
    let last = numbers.max() ?? 0
    // A file may claim any number; a network of that depth has at least as many tensors.
    guard last < ordered.count else {
      throw LoadError.inferred(
        "A tensor belongs to block \(last), and there are only \(ordered.count) tensors.",
        "The blocks are not numbered one after the other.")
    }
    return last + 1
  }

  /// Every tensor of the network is there, in the shape that the rest makes it, and nothing else is.
  func check(_ shapes: [String: [Int]], optional: [String: [Int]] = [:], folder: String) throws {
    let present = Set(ordered.map(\.name))
    let missing = shapes.keys.filter { !present.contains($0) }.sorted()
    let unknown = present.filter { shapes[$0] == nil && optional[$0] == nil }.sorted()
    guard missing.isEmpty, unknown.isEmpty else {
      throw LoadError.unaccounted(folder: folder, unknown: unknown, missing: missing)
    }
    for (name, tensor) in ordered {
      if let expected = shapes[name] ?? optional[name], tensor.shape != expected {
        throw LoadError.shape(name, expected: expected, found: tensor.shape)
      }
    }
  }

  /// The maps of a block and the shapes of their weights.
  static func maps(width: Int, hidden: Int) -> [(name: String, shape: [Int])] {
    [
      ("attn.qkv", [3 * width, width]), ("attn.proj", [width, width]), ("mlp.fc1", [hidden, width]),
      ("mlp.fc2", [width, hidden]),
    ]
  }

  /// The modules of a file that make up a site: one, or query, key and value.
  static func modules(at site: Site, from sources: [String: [String]]) -> [String] {
    let modules = (sources["\(site.whole?.name ?? site.name).weight"] ?? []).map { name in
      name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
    }
    guard let whole = site.whole else { return modules }
    return modules.count == 3 ? [modules[whole.rows.lowerBound / site.outFeatures]] : []
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
