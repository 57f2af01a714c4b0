/// Draws from classes in their proportions.
enum StratifiedDraw {
  /// How many of each class make up `total`: its share by the method of largest remainders, the first of equals, and at
  /// least one of each class that has one, where `total` allows it. Never more than there are.
  static func quotas(_ total: Int, of counts: [Int]) -> [Int] {
    let available = counts.reduce(0, +)
    guard total < available else { return counts }
    guard total > 0 else { return counts.map { _ in 0 } }
    var quotas = counts.map { $0 * total / available }
    let byRemainder = counts.indices.sorted { left, right in
      let (first, second) = (counts[left] * total % available, counts[right] * total % available)
      return first == second ? left < right : first > second
    }
    for place in byRemainder.prefix(total - quotas.reduce(0, +)) { quotas[place] += 1 }
    for empty in counts.indices where counts[empty] > 0 && quotas[empty] == 0 {
      guard let largest = quotas.indices.max(by: { quotas[$0] < quotas[$1] }), quotas[largest] > 1 else { break }
      quotas[largest] -= 1
      quotas[empty] += 1
    }
    return quotas
  }

  /// The first `quotas[label]` of each class, and the rest, classes one after the other.
  static func divide<Element>(_ classes: [[Element]], by quotas: [Int]) -> (taken: [[Element]], rest: [[Element]]) {
    (
      zip(classes, quotas).map { Array($0.prefix($1)) },
      zip(classes, quotas).map { Array($0.dropFirst($1)) }
    )
  }
}
