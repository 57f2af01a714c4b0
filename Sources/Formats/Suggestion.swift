/// "Did you mean": what a misspelt name most likely stands for.
public enum Suggestion {
  /// The candidates nearest to `name`, nearest first, equally near ones in the order given.
  ///
  /// Nearness is the edit distance of Damerau and Levenshtein in its restricted form (insert, delete, replace, swap two
  /// neighbours), upper and lower case counting as equal. A candidate is near if at most a third of the name differs.
  public static func closest(
    to name: String, among candidates: some Sequence<String>, limit: Int = 3
  ) -> [String] {
    let name = Array(name.lowercased().unicodeScalars)
    // The tables are quadratic, and nobody mistypes a name of this length by hand.
    guard !name.isEmpty, name.count <= maximumLength else { return [] }
    let tolerance = max(1, name.count / 3)
    var near: [(candidate: String, distance: Int)] = []
    for candidate in candidates {
      let scalars = Array(candidate.lowercased().unicodeScalars.prefix(maximumLength + 1))
      if let distance = editDistance(name, scalars, atMost: tolerance) { near.append((candidate, distance)) }
    }
    // Sorting by place as well keeps equals in order: `sort` alone promises nothing.
    return near.enumerated()
      .sorted { ($0.element.distance, $0.offset) < ($1.element.distance, $1.offset) }
      .prefix(max(0, limit)).map(\.element.candidate)
  }

  /// `" Did you mean 'rank'?"`, to stand at the end of a message; empty where nothing is near.
  public static func didYouMean(_ name: String, among candidates: some Sequence<String>) -> String {
    let quoted = closest(to: name, among: candidates).map { "'\($0)'" }
    guard let last = quoted.last else { return "" }
    return " Did you mean \(quoted.count == 1 ? last : quoted.dropLast().joined(separator: ", ") + " or " + last)?"
  }

  private static let maximumLength = 256

  /// The restricted Damerau-Levenshtein distance; nil as soon as it must exceed the limit.
  static func editDistance<Element: Equatable>(_ left: [Element], _ right: [Element], atMost limit: Int) -> Int? {
    guard abs(left.count - right.count) <= limit else { return nil }
    var beforeLast = [Int](repeating: 0, count: right.count + 1)
    var last = Array(0...right.count)
    for row in left.indices {
      var current = [row + 1] + [Int](repeating: 0, count: right.count)
      for column in right.indices {
        let replaced = last[column] + (left[row] == right[column] ? 0 : 1)
        current[column + 1] = min(replaced, last[column + 1] + 1, current[column] + 1)
        if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
          current[column + 1] = min(current[column + 1], beforeLast[column - 1] + 1)
        }
      }
      guard min(current.min() ?? 0, last.min() ?? 0) <= limit else { return nil }
      (beforeLast, last) = (last, current)
    }
    return last[right.count] <= limit ? last[right.count] : nil
  }
}
