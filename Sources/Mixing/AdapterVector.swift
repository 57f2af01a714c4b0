import Adapters
import Formats
import NeuralNetworks
import Tensors

/// The numbers of one adapter in a row, in float32, with names: what averaging, signs and pruning work on.
///
/// In the space of factors an entry is a parameter of the adapter; in the space of changes it is the whole `ΔW` of a linear
/// map. Adapters go together where their layouts are equal.
public struct AdapterVector: Sendable {
  public let layout: AdapterLayout
  /// `layout.count` numbers; each entry's in row-major order.
  public var values: [Float]

  /// - Throws: `MixingError.count` where the numbers do not fill the layout.
  public init(_ layout: AdapterLayout, _ values: [Float]) throws(MixingError) {
    guard values.count == layout.count else { throw .count(values.count, expected: layout.count) }
    self.layout = layout
    self.values = values
  }

  /// The adapter's own parameters.
  public init(_ adapter: Adapter) throws {
    layout = AdapterLayout(adapter)
    var values: [Float] = []
    values.reserveCapacity(layout.count)
    for parameter in adapter.parameters {
      values += try parameter.value.detached().to(.float32).to(.cpu).floats()
    }
    self.values = values
  }

  /// Writes the numbers into an adapter of the same layout.
  ///
  /// - Throws: `MixingError.layout`
  public func load(into adapter: Adapter) throws {
    try AdapterLayout(adapter).check(against: layout)
    for (parameter, entry) in zip(adapter.parameters, layout.entries) {
      let tensor = try Tensor(Array(values[entry.range])).reshaped(entry.shape)
      try parameter.load(tensor.to(parameter.value.dtype).to(parameter.value.device))
    }
  }
}

/// Which numbers stand where in an `AdapterVector`.
public struct AdapterLayout: Hashable, Sendable {
  public struct Entry: Hashable, Sendable {
    /// The parameter's name, or that of the site whose ΔW it is.
    public let name: String
    public let shape: [Int]
    /// Its part of the vector.
    public let range: Range<Int>
    /// The transformer block that it belongs to; nil outside the blocks.
    public let block: Int?
    /// Whether its signs count and it may be pruned: a weight matrix. Biases, LayerNorms, scales and gates are mixed only.
    public let isWeight: Bool

    public init(name: String, shape: [Int], range: Range<Int>, block: Int?, isWeight: Bool) {
      self.name = name
      self.shape = shape
      self.range = range
      self.block = block
      self.isWeight = isWeight
    }
  }

  /// One after the other, without gaps.
  public let entries: [Entry]
  public var count: Int { entries.last?.range.upperBound ?? 0 }
  /// How many of the numbers are weights.
  public var weightCount: Int { entries.reduce(0) { $0 + ($1.isWeight ? $1.range.count : 0) } }

  public init(_ entries: [(name: String, shape: [Int], block: Int?, isWeight: Bool)]) {
    var start = 0
    self.entries = entries.map { entry in
      let count = entry.shape.reduce(1, *)
      defer { start += count }
      return Entry(
        name: entry.name, shape: entry.shape, range: start..<start + count, block: entry.block, isWeight: entry.isWeight
      )
    }
  }

  /// The adapter's parameters.
  public init(_ adapter: Adapter) {
    self.init(
      adapter.parameters.map { parameter in
        let shape = parameter.value.shape
        let pieces = parameter.name.split(separator: ".")
        let block = pieces.count > 1 && pieces[0] == "blocks" ? Int(pieces[1]) : nil
        return (parameter.name, shape, block, parameter.isWeight)
      })
  }

  /// - Throws: `MixingError.layout` naming the first entry that differs.
  public func check(against other: AdapterLayout) throws(MixingError) {
    for (mine, theirs) in zip(entries, other.entries) where mine != theirs {
      throw .layout("'\(mine.name)' \(mine.shape)", "'\(theirs.name)' \(theirs.shape)")
    }
    guard entries.count == other.entries.count else {
      throw .layout("\(entries.count) tensors", "\(other.entries.count) tensors")
    }
  }
}
