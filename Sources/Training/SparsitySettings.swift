import Formats

/// Training with most of the adapter's weights held at zero: He et al. 2022, "SparseAdapter", arXiv:2210.04284. Which weights is
/// decided before the first step, by a score of the weights as they start, and stays so.
///
/// Matrices are pruned; biases, LayerNorms, scales and the classifier train whole. That paper's code calls the fraction kept
/// its sparsity; here it is the density.
public struct SparsitySettings: Sendable, Hashable {
  /// What the largest of are kept. `w` are the weights as they start, `g` the gradient of the loss on the first batches, `H` its
  /// Hessian.
  public enum Score: String, Sendable, Hashable, Codable, CaseIterable {
    /// A random number.
    case random
    /// `|w|`
    case magnitude
    /// `|g · w|`: Lee et al. 2019, arXiv:1810.02340.
    case snip
    /// `w · Hg`: Wang et al. 2020, arXiv:2002.07376, who call `−w · Hg` the score and remove the largest. `Hg` is a central
    /// difference of gradients, so that it can be had of any adapter.
    case grasp
    /// `|w · ∂R/∂w|`, where `R` is the sum of the outputs of all adapted places, each by itself, for an input of ones and
    /// with `|w|` in place of every parameter: Tanaka et al. 2020, arXiv:2006.05467. It needs no data.
    case synflow
  }

  public enum Scope: String, Sendable, Hashable, Codable, CaseIterable {
    /// The best of all matrices together are kept.
    case global
    /// The best of each matrix.
    case tensor
  }

  /// The fraction of the weights that trains, above 0 and at most 1.
  public var density: Double
  public var score = Score.snip
  public var scope = Scope.global
  /// Batches whose mean loss the scores are of: the first of the run.
  public var batches = 4
  /// The scores are taken anew as often, down to `density^(i / rounds)` each time; more than one keeps `synflow` from
  /// emptying whole matrices.
  public var rounds = 1

  public init(density: Double, score: Score = .snip, scope: Scope = .global) {
    self.density = density
    self.score = score
    self.scope = scope
  }

  /// - Throws: `TrainingConfigurationError.range`
  func validate() throws(TrainingConfigurationError) {
    func check(_ key: Keys, _ isAllowed: Bool, _ value: some CustomStringConvertible, _ allowed: String)
      throws(TrainingConfigurationError)
    {
      if !isAllowed { throw .range(key: "sparsity.\(key.rawValue)", value: "\(value)", allowed: allowed) }
    }
    try check(.density, density > 0 && density <= 1, density, "a number above 0 and at most 1: the fraction kept")
    try check(.batches, (1...65_536).contains(batches), batches, "1 to 65536")
    try check(.rounds, (1...1_000).contains(rounds), rounds, "1 to 1000")
  }
}

extension SparsitySettings: Codable {
  enum Keys: String, CodingKey, CaseIterable {
    case density, score, scope, batches, rounds
  }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  public init(from decoder: any Decoder) throws {
    let names = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
    if let unknown = names.sorted().first(where: { Keys(rawValue: $0) == nil }) {
      throw TrainingConfigurationError.unknownKey(
        "sparsity.\(unknown)", suggestion: Suggestion.didYouMean(unknown, among: Keys.allCases.map(\.rawValue)))
    }
    let file = try decoder.container(keyedBy: Keys.self)
    density = try file.decode(Double.self, forKey: .density)
    score = try file.decodeIfPresent(Score.self, forKey: .score) ?? score
    scope = try file.decodeIfPresent(Scope.self, forKey: .scope) ?? scope
    batches = try file.decodeIfPresent(Int.self, forKey: .batches) ?? batches
    rounds = try file.decodeIfPresent(Int.self, forKey: .rounds) ?? rounds
    try validate()
  }

  public func encode(to encoder: any Encoder) throws {
    var file = encoder.container(keyedBy: Keys.self)
    try file.encode(density, forKey: .density)
    try file.encode(score, forKey: .score)
    try file.encode(scope, forKey: .scope)
    try file.encode(batches, forKey: .batches)
    try file.encode(rounds, forKey: .rounds)
  }
}

/// Weights that cannot be chosen among.
public enum SparsityError: Error, Equatable, CustomStringConvertible {
  case noWeights
  case noScores(String, SparsitySettings.Score)
  case notFinite(String, SparsitySettings.Score)

  public var description: String {
    switch self {
    case .noWeights:
      "Sparsity was asked for, and the adapter has no weight matrices that train. Leave 'sparsity' out."
    case .noScores(let parameter, let score):
      """
      The score '\(score.rawValue)' is 0 for all of '\(parameter)': no weight of it is better than another. That is so of matrices \
      that start at zero, as one factor of LoRA, and of those beside them. Use the score random, or a start that is not zero.
      """
    case .notFinite(let parameter, let score):
      "The score '\(score.rawValue)' of '\(parameter)' is NaN or infinite before the first step. Look at the data and the precision."
    }
  }
}
