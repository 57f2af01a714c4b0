import NeuralNetworks
import Tensors

extension AdaptedModel {
  /// The mean of each expert's gate over all tokens of some inputs, by the name of the routed site: the gates with which a
  /// mixture is merged approximately. Empty for an adapter without a router.
  ///
  /// - Parameter input: `[batch, …]`
  public func meanGates(over input: Tensor) throws -> [String: [Double]] {
    var gates: [String: [Double]] = [:]
    let pass = ForwardPass()
    pass.onRouting = { routing in
      let experts = routing.gates.shape.last ?? 0
      gates[routing.site.name] = try routing.gates.to(.float64).reshaped(-1, experts).mean(0).doubles()
    }
    _ = try withoutGradients { try features(input, pass: pass) }
    return gates
  }
}

extension MixtureLayer {
  /// The mixture with the same gates for every token, `Σₑ gₑ ΔWₑ` and `β`.
  func delta(gates: [Double]) throws -> SiteDelta {
    guard gates.count == configuration.ranks.count else { throw MergeError.noGates(site.name) }
    return SiteDelta(
      weight: try SumDelta(gates.enumerated().map { ($1, expertDelta($0)) }), bias: bias?.value)
  }
}
