import Formats
import NeuralNetworks
import Tensors

/// Adam or AdamW over groups of parameters that share a learning rate.
///
/// A parameter without a gradient at a step is left as it is, its moments too. Parameters with `decays == false` get no
/// weight decay. The state is two moments and a count for each parameter, kept in the parameter's dtype.
@Compute
public final class Optimizer {
  /// Parameters whose learning rate is a multiple of the run's.
  public struct Group: Sendable {
    public var parameters: [Parameter]
    public var rateMultiplier: Double

    public init(_ parameters: [Parameter], rateMultiplier: Double = 1) {
      self.parameters = parameters
      self.rateMultiplier = rateMultiplier
    }
  }

  public let settings: OptimizerSettings
  public let groups: [Group]
  private var moments: [String: Moments] = [:]

  private struct Moments {
    let mean: Tensor
    let square: Tensor
    let steps: Tensor
  }

  /// - Throws: `OptimizerError.duplicate` if two parameters share a name.
  public init(_ settings: OptimizerSettings, groups: [Group]) throws {
    self.settings = settings
    self.groups = groups
    for parameter in groups.flatMap(\.parameters) {
      let moments = Moments(
        mean: try parameter.value.detached().zerosLike(), square: try parameter.value.detached().zerosLike(),
        steps: try .zeros([], device: parameter.value.device))
      guard self.moments.updateValue(moments, forKey: parameter.name) == nil else {
        throw OptimizerError.duplicate(parameter.name)
      }
    }
  }

  public var parameters: [Parameter] { groups.flatMap(\.parameters) }

  // MARK: One step

  public func clearGradients() throws {
    for parameter in parameters { try parameter.value.setGradient(nil) }
  }

  /// The Euclidean norm of all gradients together.
  ///
  /// - Throws: `OptimizerError.gradientNotFinite`, with the first parameter whose gradient holds NaN or infinity.
  public func gradientNorm() throws -> Double {
    try withoutGradients {
      let norms = try parameters.compactMap { parameter in
        try parameter.value.gradient().map { try $0.to(.float32).norm() }
      }
      guard !norms.isEmpty else { return 0 }
      // One number crosses from the device, however many parameters there are.
      let norm = try Tensor.stacked(norms).norm().item()
      guard norm.isFinite else {
        for parameter in parameters {
          guard let gradient = try parameter.value.gradient() else { continue }
          if try !gradient.isAllFinite() { throw OptimizerError.gradientNotFinite(parameter.name) }
        }
        // Every gradient is finite and the norm overflows float32.
        throw OptimizerError.gradientNotFinite(try largestGradient())
      }
      return norm
    }
  }

  /// Shortens all gradients by one factor so that their norm is at most `limit`.
  public func clipGradients(norm: Double, to limit: Double) throws {
    guard norm > limit else { return }
    // The term keeps the result at or below the limit in float32, as in PyTorch.
    let factor = limit / (norm + 1e-6)
    for parameter in parameters { try parameter.value.gradient()?.scaleInPlace(factor) }
  }

  /// Moves every parameter that has a gradient.
  public func step(rate: Double) throws {
    for group in groups {
      for decays in [true, false] {
        let chosen = group.parameters.filter { $0.decays == decays }
        try step(chosen, rate: rate * group.rateMultiplier, decay: decays ? settings.weightDecay : 0)
      }
    }
  }

  private func step(_ parameters: [Parameter], rate: Double, decay: Double) throws {
    var values: [Tensor] = []
    var gradients: [Tensor] = []
    var state: [Moments] = []
    for parameter in parameters {
      guard let gradient = try parameter.value.gradient(), let moments = moments[parameter.name] else { continue }
      values.append(parameter.value)
      gradients.append(gradient)
      state.append(moments)
    }
    let adam = AdamStep(
      rate: rate, beta1: settings.beta1, beta2: settings.beta2, epsilon: settings.epsilon, decay: decay,
      isDecoupled: settings.kind == .adamW)
    try adam(
      parameters: values, gradients: gradients, means: state.map(\.mean), squares: state.map(\.square),
      steps: state.map(\.steps))
  }

  private func largestGradient() throws -> String {
    var largest = (name: "", value: -1.0)
    for parameter in parameters {
      let value = try parameter.value.gradient()?.abs().max().item() ?? 0
      if value > largest.value { largest = (parameter.name, value) }
    }
    return largest.name
  }

  // MARK: State

  /// The moments and counts by name, `mean.NAME`, `square.NAME` and `steps.NAME`.
  public func state() -> [(name: String, tensor: Tensor)] {
    parameters.flatMap { parameter -> [(name: String, tensor: Tensor)] in
      guard let moments = moments[parameter.name] else { return [] }
      return [
        ("mean.\(parameter.name)", moments.mean), ("square.\(parameter.name)", moments.square),
        ("steps.\(parameter.name)", moments.steps),
      ]
    }
  }

  /// Takes over a saved state, bit for bit.
  ///
  /// - Throws: `OptimizerError.state` unless names and shapes are exactly those of this optimizer.
  public func restore(_ state: [String: Tensor]) throws {
    let own = self.state()
    let missing = own.filter { state[$0.name]?.shape != $0.tensor.shape }.map(\.name)
    let unknown = Set(state.keys).subtracting(own.map(\.name)).sorted()
    guard missing.isEmpty, unknown.isEmpty else { throw OptimizerError.state(missing: missing, unknown: unknown) }
    try withoutGradients {
      for (name, tensor) in own {
        if let saved = state[name] { try tensor.copyInPlace(saved) }
      }
    }
  }
}

/// How an optimizer steps.
public struct OptimizerSettings: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
    /// Weight decay, if any, is added to the gradient.
    case adam
    /// Weight decay shrinks the weights themselves.
    case adamW = "adamw"
  }

  public var kind = Kind.adam
  public var beta1 = 0.9
  public var beta2 = 0.999
  public var epsilon = 1e-8
  public var weightDecay = 0.0

  public init(_ kind: Kind = .adam, weightDecay: Double = 0) {
    self.kind = kind
    self.weightDecay = weightDecay
  }
}

public enum OptimizerError: Error, Equatable, CustomStringConvertible {
  case duplicate(String)
  case gradientNotFinite(String)
  case state(missing: [String], unknown: [String])

  public var description: String {
    switch self {
    case .duplicate(let name): "Two parameters are named '\(name)'. Give each a name of its own."
    case .gradientNotFinite(let name): "The gradient of '\(name)' holds NaN or infinity."
    case .state(let missing, let unknown):
      """
      The saved optimizer state is of another model: missing or of another shape here \
      [\(missing.joined(separator: ", "))], unknown here [\(unknown.joined(separator: ", "))].
      """
    }
  }
}
