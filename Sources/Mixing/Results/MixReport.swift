import Formats

/// How well a mixture stands for what its rule gives, and how large it is.
public struct MixReport: Sendable {
  public struct Place: Hashable, Sendable {
    /// The linear map.
    public let name: String
    /// Of the mixture's LoRA there; nil for a dense change, and in the space of factors.
    public let rank: Int?
    /// `‖mixture − ΔW̄‖ / ‖ΔW̄‖` by the limited rank: zero where the form is exact.
    public let relativeError: Double
    /// `‖ΔW̄‖` of what the rule gives, Frobenius.
    public let norm: Double
  }

  public let places: [Place]
  /// `‖θ̄‖` of all places together.
  public let norm: Double
  /// The mean of the members' own `‖θᵢ‖`.
  public let meanMemberNorm: Double
  /// What whoever uses the mixture should know.
  public let warnings: [String]

  /// The error over all places: the root of the summed squares, relative to the whole change.
  public var relativeError: Double {
    let lost = places.reduce(0) { $0 + ($1.relativeError * $1.norm) * ($1.relativeError * $1.norm) }
    let total = places.reduce(0) { $0 + $1.norm * $1.norm }
    return total > 0 ? (lost / total).squareRoot() : 0
  }

  /// `‖θ̄‖ / mean ‖θᵢ‖`: the average of `k` unrelated members has about `1/√k` of their length.
  public var normRatio: Double { meanMemberNorm > 0 ? norm / meanMemberNorm : 0 }

  public func json() -> JSONValue {
    [
      "relative_error": .double(relativeError), "norm": .double(norm), "mean_member_norm": .double(meanMemberNorm),
      "norm_ratio": .double(normRatio), "warnings": .array(warnings.map(JSONValue.string)),
      "places": .array(
        places.map { place in
          [
            "name": .string(place.name), "rank": place.rank.map(JSONValue.integer) ?? .null,
            "relative_error": .double(place.relativeError), "norm": .double(place.norm),
          ]
        }),
    ]
  }
}
