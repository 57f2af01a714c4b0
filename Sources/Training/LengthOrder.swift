import Tensors

/// Examples in the order in which they are best evaluated, and the way back.
///
/// Inputs of different lengths go longest first, so that those of a batch are of nearly one length, and memory is highest at
/// the beginning. Others stay as they are.
struct LengthOrder {
  let indices: [Int]
  /// Where each of the examples asked for stands in `indices`; nil where nothing moved.
  private let places: [Int]?

  init(_ asked: [Int], of examples: any Examples) {
    guard let lengths = examples.lengths else {
      (indices, places) = (asked, nil)
      return
    }
    func length(_ place: Int) -> Int { lengths.indices.contains(asked[place]) ? lengths[asked[place]] : 0 }
    // The place breaks ties, so that the order is one.
    let order = asked.indices.sorted { (-length($0), $0) < (-length($1), $1) }
    indices = order.map { asked[$0] }
    var places = [Int](repeating: 0, count: order.count)
    for (place, origin) in order.enumerated() { places[origin] = place }
    self.places = places
  }

  /// The rows, which stand in this order, in the order asked for.
  func restored(_ rows: Tensor) throws -> Tensor {
    guard let places else { return rows }
    return try rows.selected(0, Tensor(places.map(Int64.init)).to(rows.device))
  }
}
