/// Whose way is followed where programs differ in what is no setting of a rule: how many numbers a fraction is.
///
/// Ours keeps `round(ρN)`, and one at least; MergeKit and PEFT round down, and MergeKit keeps one at least but in
/// Breadcrumbs.
enum MixConventions: String, Codable, Sendable {
  case ours
  case mergeKit = "mergekit"
  case peft

  /// How many of `count` a fraction in `0 ... 1` is.
  func whole(_ fraction: Double, of count: Int) -> Int {
    let exact = fraction * Double(count)
    return min(count, Int(self == .ours ? exact.rounded() : exact.rounded(.down)))
  }

  /// How many numbers a density keeps.
  func kept(_ density: Double, of count: Int) -> Int {
    guard density > 0 else { return 0 }
    return min(count, max(self == .peft ? 0 : 1, whole(density, of: count)))
  }
}
