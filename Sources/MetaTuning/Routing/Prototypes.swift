import Tensors

/// The classifier of an episode: a class is the mean of its support features, a query goes to the nearest by cosine.
///
/// Snell et al. 2017, "Prototypical Networks for Few-shot Learning", arXiv:1703.05175, eq. 1, with the cosine and the fixed scale of
/// PMF (Hu et al. 2022, arXiv:2204.07305).
public enum Prototypes {
  /// `p_k`, the mean feature of each class, `[support, features]` to `[ways, features]`; features are not normalized before.
  ///
  /// - Parameter labels: the class of each feature, `0 ..< ways`.
  /// - Throws: `PrototypeError` where labels and features do not go together, or a class has no feature.
  public static func means(of features: Tensor, labels: [Int], ways: Int) throws -> Tensor {
    guard features.rank == 2, features.size(0) == labels.count else {
      throw PrototypeError.count(features: features.size(0) ?? 0, labels: labels.count)
    }
    guard ways > 1 else { throw PrototypeError.ways(ways) }
    var counts = [Int](repeating: 0, count: ways)
    for label in labels {
      guard counts.indices.contains(label) else { throw PrototypeError.label(label, ways: ways) }
      counts[label] += 1
    }
    if let empty = counts.firstIndex(of: 0) { throw PrototypeError.noSupport(empty, ways: ways) }
    var averaging = [Double](repeating: 0, count: ways * labels.count)
    for (index, label) in labels.enumerated() {
      averaging[label * labels.count + index] = 1 / Double(counts[label])
    }
    let matrix = try Tensor(averaging, shape: [ways, labels.count]).to(features.dtype).to(features.device)
    return try matrix.matmul(features)
  }

  /// `scale · cos(f, p_k)`: `[queries, features]` and `[ways, features]` to `[queries, ways]`.
  public static func logits(_ features: Tensor, _ prototypes: Tensor, scale: Double = 10) throws -> Tensor {
    try features.normalized().linear(prototypes.normalized()) * scale
  }
}

extension Tensor {
  /// Each vector of the last dimension at length 1; one shorter than 1e-12 stays short.
  fileprivate func normalized() throws -> Tensor {
    try self / norm(-1, keep: true).clamped(1e-12...Double.infinity)
  }
}

/// Why a support set makes no classifier.
public enum PrototypeError: Error, Equatable, CustomStringConvertible {
  case count(features: Int, labels: Int)
  case ways(Int)
  case label(Int, ways: Int)
  case noSupport(Int, ways: Int)

  public var description: String {
    switch self {
    case .count(let features, let labels):
      "\(features) support features and \(labels) labels do not go together. Give one label for each feature."
    case .ways(let ways):
      "A task of \(ways) \(ways == 1 ? "class" : "classes") has nothing to tell apart. Give support of two classes or more."
    case .label(let label, let ways):
      "The support label \(label) is none of \(ways) classes, which are counted from 0."
    case .noSupport(let label, let ways):
      "Class \(label) of \(ways) has no support example, so it has no prototype. Give one example or more, or leave it out."
    }
  }
}
