/// The hidden units of one module of an adapter: where each one's numbers stand in an `AdapterVector`.
struct HiddenUnits {
  enum Kind {
    /// `U·σ(D·x + a)`: any order of the units is the same function, and with a ReLU any positive scale.
    case bottleneck
    /// `B·A·x`: besides, any invertible change of the basis.
    case lowRank
  }

  /// As in `blocks.3.mlp.adapter`.
  let module: String
  let kind: Kind
  let count: Int
  /// Row by row: the unit's weights and its bias.
  private let rows: [(start: Int, width: Int)]
  /// `[features, units]`: a column for each unit.
  private let columns: (start: Int, height: Int)

  /// Of every module, in the order of the layout.
  ///
  /// - Throws: `AlignmentError.shape` where two halves do not fit.
  static func all(in layout: AdapterLayout) throws(AlignmentError) -> [HiddenUnits] {
    let entries = Dictionary(layout.entries.map { ($0.name, $0) }) { first, _ in first }
    var found: [HiddenUnits] = []
    for entry in layout.entries {
      for (suffix, kind) in [(".down.weight", Kind.bottleneck), (".lora_A", .lowRank)]
      where entry.name.hasSuffix(suffix) {
        let module = String(entry.name.dropLast(suffix.count))
        guard let up = entries[module + (kind == .bottleneck ? ".up.weight" : ".lora_B")] else { continue }
        let bias = kind == .bottleneck ? entries[module + ".down.bias"] : nil
        found.append(try HiddenUnits(module, kind, down: entry, bias: bias, up: up))
      }
    }
    return found
  }

  private init(
    _ module: String, _ kind: Kind, down: AdapterLayout.Entry, bias: AdapterLayout.Entry?, up: AdapterLayout.Entry
  ) throws(AlignmentError) {
    guard down.shape.count == 2, down.shape[0] >= 1 else {
      throw .shape(down.name, down.shape, expected: "[units, features]")
    }
    let count = down.shape[0]
    guard up.shape.count == 2, up.shape[1] == count else {
      throw .shape(up.name, up.shape, expected: "[features, \(count)]")
    }
    if let bias, bias.shape != [count] { throw .shape(bias.name, bias.shape, expected: "[\(count)]") }
    self.module = module
    self.kind = kind
    self.count = count
    rows = [(down.range.lowerBound, down.shape[1])] + (bias.map { [($0.range.lowerBound, 1)] } ?? [])
    columns = (up.range.lowerBound, up.shape[0])
  }

  /// Calls `body` with the place of each number that a unit reads with.
  func forEachInput(of unit: Int, _ body: (Int) -> Void) {
    for row in rows { for column in 0..<row.width { body(row.start + unit * row.width + column) } }
  }

  /// Calls `body` with the place of each number that a unit writes with.
  func forEachOutput(of unit: Int, _ body: (Int) -> Void) {
    for row in 0..<columns.height { body(columns.start + row * count + unit) }
  }

  func places(of unit: Int) -> [Int] {
    var places: [Int] = []
    forEachInput(of: unit) { places.append($0) }
    forEachOutput(of: unit) { places.append($0) }
    return places
  }
}
