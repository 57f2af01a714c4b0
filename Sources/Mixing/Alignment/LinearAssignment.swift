/// The cheapest one-to-one assignment of rows to columns.
///
/// Kuhn 1955's Hungarian method with shortest augmenting paths, as Jonker and Volgenant 1987 have them: `O(n³)` in
/// float64.
enum LinearAssignment {
  /// - Parameter cost: row-major, `[size, size]`, finite.
  /// - Returns: the column of each row.
  static func solve(_ cost: [Double], size: Int) -> [Int] {
    precondition(cost.count == size * size, "a square of costs")
    // Columns count from 1: column 0 stands for "not assigned yet" while a row looks for its place.
    var rowOfColumn = [Int](repeating: 0, count: size + 1)
    var rowPotential = [Double](repeating: 0, count: size + 1)
    var columnPotential = [Double](repeating: 0, count: size + 1)
    for row in stride(from: 1, through: size, by: 1) {
      rowOfColumn[0] = row
      var column = 0
      var shortest = [Double](repeating: .infinity, count: size + 1)
      var previous = [Int](repeating: 0, count: size + 1)
      var isDone = [Bool](repeating: false, count: size + 1)
      repeat {
        isDone[column] = true
        let from = rowOfColumn[column]
        var (step, nearest) = (Double.infinity, 0)
        for next in 1...size where !isDone[next] {
          let length = cost[(from - 1) * size + next - 1] - rowPotential[from] - columnPotential[next]
          if length < shortest[next] { (shortest[next], previous[next]) = (length, column) }
          if shortest[next] < step { (step, nearest) = (shortest[next], next) }
        }
        for next in 0...size {
          if isDone[next] {
            rowPotential[rowOfColumn[next]] += step
            columnPotential[next] -= step
          } else {
            shortest[next] -= step
          }
        }
        column = nearest
      } while rowOfColumn[column] != 0
      while column != 0 {
        rowOfColumn[column] = rowOfColumn[previous[column]]
        column = previous[column]
      }
    }
    var result = [Int](repeating: 0, count: size)
    for column in stride(from: 1, through: size, by: 1) { result[rowOfColumn[column] - 1] = column - 1 }
    return result
  }
}
