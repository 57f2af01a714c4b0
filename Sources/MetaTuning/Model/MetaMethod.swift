import Formats

/// What is meta-tuned, and how much of it one task uses.
public enum MetaMethod: String, Sendable, Hashable, Codable, CaseIterable {
  /// Sparse interpolated experts: one offset δ, a learned sparse mask of it for each expert, experts mixed for each task.
  case smat
  /// One dense offset for all tasks: Hu et al. 2022, "Pushing the Limits of Simple Pipelines for Few-Shot Learning",
  /// arXiv:2204.07305.
  case pmf
  /// Dense offsets, mixed for each task as the experts of `smat` are. Ours: what the SMAT paper calls SoftMerge is not defined in
  /// what we could read.
  case softMerge = "soft_merge"
  /// `smat` with one expert that every task uses whole: sparsity without routing.
  case singleExpert = "single_expert"
  /// `smat` with random masks that stay as they are: routing and sparsity without learning where.
  case randomMasks = "random_masks"
  /// One fixed mask: biases and LayerNorms.
  case biasAndNorms = "bias_and_norms"
  /// One fixed mask: the attention of every block.
  case attention
  /// One fixed mask: whole blocks, the last ones.
  case lastBlocks = "last_blocks"

  /// Whether a task mixes experts by a hypernetwork, given more than one.
  public var isRouted: Bool {
    switch self {
    case .smat, .softMerge, .randomMasks: true
    case .pmf, .singleExpert, .biasAndNorms, .attention, .lastBlocks: false
    }
  }
}

/// Which account of SMAT is followed where they differ.
public enum MetaPreset: String, Sendable, Hashable, Codable, CaseIterable {
  /// The figures of the paper: query loss and distillation from a teacher under the constraint, nothing else.
  ///
  /// What the figures leave open is that of the published code: the estimator's gate in testing, the task's embedding at the token
  /// of its first class, the schedule, and the rates, which are those for DINO ViT-S/16. That the divergence is a forward one and
  /// the teacher takes one step is our reading, not verified in the paper's text.
  case paper
  /// The published code: a support step before the query loss, reverse divergences, half of the distillation from the
  /// pretrained model, another gate in testing than in training.
  case officialCode = "official_code"
  /// The paper's losses with the defects of the code repaired: one gate, a task embedding that does not depend on the order of the
  /// classes, logits of order 1.
  case recommended
}

extension MetaMethod {
  /// - Throws: `DecodingError.dataCorrupted` for another name, with those that are near and all there are.
  public init(from decoder: any Decoder) throws { self = try decoder.decodeName(of: "method") }
}

extension MetaPreset {
  /// - Throws: `DecodingError.dataCorrupted` for another name, with those that are near and all there are.
  public init(from decoder: any Decoder) throws { self = try decoder.decodeName(of: "preset") }
}

extension Decoder {
  fileprivate func decodeName<Value: RawRepresentable<String> & CaseIterable>(of kind: String) throws -> Value {
    let container = try singleValueContainer()
    let name = try container.decode(String.self)
    if let value = Value(rawValue: name) { return value }
    let known = Value.allCases.map(\.rawValue)
    throw DecodingError.dataCorruptedError(
      in: container,
      debugDescription: "There is no \(kind) '\(name)'.\(Suggestion.didYouMean(name, among: known)) "
        + "The \(kind)s are \(known.joined(separator: ", ")).")
  }
}
