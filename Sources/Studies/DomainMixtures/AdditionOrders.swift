import Mixing

/// Orders in which domains are added to a target's adapter, one at a time: by the fraction of sign difference, by the
/// likeness of their texts, at random.
struct AdditionOrders {
  enum Rule: String, CaseIterable, Sendable {
    /// Ascending FSD with the target.
    case `static`
    /// Each time the domain with which the set's FSD is lowest.
    case adaptive
    /// Descending FSD with the target: the worst case, by the paper's claim.
    case descending
    /// Descending mean cosine of the texts with the target's.
    case similarity
    /// The mean of several.
    case random
  }

  /// For each rule and target, one or more orders; each begins with the target.
  let orders: [Rule: [[[Int]]]]

  /// - Parameters:
  ///   - pairs: FSD of each two adapters.
  ///   - similarities: of each two domains; empty where they are not known.
  init(names: [String], pairs: [[Double]], similarities: [[Double]], randomOrders: Int) throws {
    func greedy(_ order: SignGreedy.Order, _ target: Int) throws -> [Int] {
      try SignGreedy(order).choose(from: names, first: target, pairs: pairs).selection.indices
    }
    var orders: [Rule: [[[Int]]]] = [:]
    for rule in Rule.allCases where rule != .similarity || !similarities.isEmpty {
      orders[rule] = try names.indices.map { target in
        switch rule {
        case .static: [try greedy(.static, target)]
        case .adaptive: [try greedy(.adaptive, target)]
        case .descending: [try greedy(.descending, target)]
        case .similarity:
          [
            [target]
              + names.indices.filter { $0 != target }.sorted {
                (-similarities[target][$0], $0) < (-similarities[target][$1], $1)
              }
          ]
        case .random:
          // The same draws for every kind and seed: a target's orders differ from another's.
          try (0..<randomOrders).map { draw in
            try greedy(.random(seed: UInt64(draw * names.count + target)), target)
          }
        }
      }
    }
    self.orders = orders
  }

  /// Every set that an order comes by.
  var sets: [MixtureSet] {
    orders.values.joined().joined().flatMap { order in order.indices.map { MixtureSet(order[...$0]) } }
  }
}
