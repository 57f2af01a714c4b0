import Tensors

/// The directions in which some vectors vary most, and vectors in their terms.
struct PrincipalComponents {
  let mean: [Double]
  /// `[components, width]`, orthonormal rows, the largest variance first.
  let directions: Tensor

  /// At most `limit` directions, fewer where the samples do not vary in as many; at least one.
  init(of samples: Samples, limit: Int) throws {
    mean = samples.mean(of: 0..<samples.count)
    let centred = try samples.tensor() - Tensor(mean)
    // The same directions from a square matrix where there are more samples than numbers in each.
    let reduced = samples.count > samples.width ? try centred.qr().r : centred
    let (_, lengths, directions) = try reduced.svd()
    let sizes = try lengths.doubles()
    let floor = (sizes.first ?? 0) * 1e-12
    let varying = sizes.filter { $0 > floor }.count
    self.directions = try directions.narrowed(0, 0..<max(1, min(limit, varying)))
  }

  /// `[samples, width]` to `[samples, components]`.
  func callAsFunction(_ samples: Samples) throws -> Samples {
    let projected = try (samples.tensor() - Tensor(mean)).matmul(directions.transposed())
    return Samples(count: samples.count, width: directions.shape[0], values: try projected.doubles())
  }
}
