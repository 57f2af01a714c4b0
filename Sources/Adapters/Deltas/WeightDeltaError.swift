import Tensors

/// Changes of weights that cannot be combined.
public enum WeightDeltaError: Error, Equatable, CustomStringConvertible {
  /// Two changes of weights of different shapes, `[outFeatures, inFeatures]`.
  case shapes([Int], [Int])
  case emptySum
  case rank(Int, limit: Int)
  case rows(Range<Int>, outFeatures: Int)
  case overlap(Range<Int>, Range<Int>)
  case rowCount(Range<Int>, outFeatures: Int)
  case nonFinite

  public var description: String {
    switch self {
    case .shapes(let first, let second):
      """
      Changes of weights of shapes \(first) and \(second) cannot be combined. Combine changes of one linear map, or of \
      maps of one shape.
      """
    case .emptySum: "A sum of changes needs at least one: its shape is theirs."
    case .rank(let rank, let limit):
      "The rank \(rank) is out of range: a change of this shape has ranks from 1 to \(limit)."
    case .rows(let rows, let outFeatures):
      "Rows \(Self.text(rows)) do not lie within the \(outFeatures) rows of the whole map."
    case .overlap(let first, let second):
      "Rows \(Self.text(first)) and rows \(Self.text(second)) overlap. Add changes of the same rows by a sum first."
    case .rowCount(let rows, let outFeatures):
      "Rows \(Self.text(rows)) are \(rows.count), and the change that should stand there has \(outFeatures)."
    case .nonFinite:
      "The change of a weight holds numbers that are not finite. Look for a training run that diverged, or a damaged file."
    }
  }

  private static func text(_ rows: Range<Int>) -> String { "\(rows.lowerBound) ..< \(rows.upperBound)" }

  static func checkShapes(_ first: any WeightDelta, _ second: any WeightDelta) throws(WeightDeltaError) {
    let shapes = ([first.outFeatures, first.inFeatures], [second.outFeatures, second.inFeatures])
    guard shapes.0 == shapes.1 else { throw .shapes(shapes.0, shapes.1) }
  }
}
