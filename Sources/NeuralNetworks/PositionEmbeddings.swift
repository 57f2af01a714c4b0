import Synchronization
import Tensors

/// Learned positions, interpolated bicubically for images of another size than the network was trained on.
final class PositionEmbeddings: Sendable {
  /// `[1, prefix + grid², width]`
  let table: Tensor
  private let grid: Int
  private let prefix: Int
  private let antialias: Bool
  private let cache = Mutex<[Size: Tensor]>([:])

  private struct Size: Hashable {
    let rows, columns: Int
  }

  /// - Parameters:
  ///   - prefix: how many places stand before those of the patches.
  ///   - antialias: whether a shrinking grid is low-pass filtered (timm) or not (Hugging Face).
  init(_ table: Tensor, grid: Int, prefix: Int, antialias: Bool) {
    self.table = table
    self.grid = grid
    self.prefix = prefix
    self.antialias = antialias
  }

  /// Positions for the tokens before the patches, if any have one, and for `rows × columns` patches.
  func embeddings(rows: Int, columns: Int, table: Tensor) throws -> (prefix: Tensor?, patches: Tensor) {
    let before = prefix == 0 ? nil : try table.narrowed(1, 0..<prefix)
    let patches = try table.narrowed(1, prefix..<prefix + grid * grid)
    if rows == grid, columns == grid { return (before, patches) }
    // A tuned table changes from step to step, and its gradient flows through the interpolation.
    guard !table.requiresGradient, table.sharesStorage(with: self.table) else {
      return (before, try interpolated(patches, rows, columns))
    }
    let size = Size(rows: rows, columns: columns)
    if let known = cache.withLock({ $0[size] }) { return (before, known) }
    let fresh = try withoutGradients { try interpolated(patches, rows, columns) }
    cache.withLock { $0[size] = fresh }
    return (before, fresh)
  }

  private func interpolated(_ patches: Tensor, _ rows: Int, _ columns: Int) throws -> Tensor {
    let width = patches.shape[2]
    return try patches.reshaped(1, grid, grid, width).permuted(0, 3, 1, 2)
      .resized(height: rows, width: columns, .bicubic, antialias: antialias)
      .permuted(0, 2, 3, 1).reshaped(1, rows * columns, width)
  }
}
