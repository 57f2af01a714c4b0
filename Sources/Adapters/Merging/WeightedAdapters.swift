import NeuralNetworks
import Tensors

/// Several adapters of one backbone at once, none of them merged: at every map `y + Σᵢ weightᵢ · (yᵢ − y)` for the outputs `yᵢ`
/// that each alone gives, and the same for tensors that are tuned. What a merge of them is compared with.
public struct WeightedAdapters: Adaptation {
  public let terms: [(adapter: Adapter, weight: Double)]

  public init(_ terms: [(adapter: Adapter, weight: Double)]) { self.terms = terms }

  public func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let base = try linear(input)
    return try terms.reduce(base) { sum, term in
      try sum + (term.adapter.output(of: linear, input: input, pass: pass) - base) * term.weight
    }
  }

  public func value(of name: String, original: Tensor) throws -> Tensor {
    try terms.reduce(original) { sum, term in
      let value = try term.adapter.value(of: name, original: original)
      return try value.sharesStorage(with: original) ? sum : sum + (value - original) * term.weight
    }
  }
}
