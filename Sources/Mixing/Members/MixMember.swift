import Adapters

/// One of the adapters that are mixed.
public struct MixMember: Sendable {
  /// Unique among the members: what the report and the provenance call it.
  public let name: String
  /// The adapter on its backbone, and its classifier.
  public let model: AdaptedModel
  /// Finite. A member of weight 0 is left out, not multiplied by zero.
  public var weight: Double
  /// The sha256 of its files; nil for one that was never saved.
  public let digest: String?

  public init(_ name: String, _ model: AdaptedModel, weight: Double = 1, digest: String? = nil) {
    self.name = name
    self.model = model
    self.weight = weight
    self.digest = digest
  }
}
