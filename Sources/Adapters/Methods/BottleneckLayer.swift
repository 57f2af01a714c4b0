import NeuralNetworks
import Tensors

/// One bottleneck at one residual branch: `y + δ·γ⊙(U·(mask ⊙ σ(D·h + a)) + c)`, with `γ` the scale, the hidden units' dropout
/// mask and the samples' drop-path factors `δ`.
struct BottleneckLayer: BranchAdapter {
  let down, downBias, up, upBias: Parameter
  /// `[width]` or `[1]`; nil where the scale does not train.
  let gain: Parameter?
  let scale: Double
  let input: Bottleneck.Input?
  let activation: Bottleneck.Activation
  let dropout, dropPath: Double

  var parameters: [Parameter] { [down, downBias, up, upBias] + (gain.map { [$0] } ?? []) }

  func output(_ state: BranchState, pass: ForwardPass) throws -> Tensor {
    let y = state.output
    let shape = y.shape
    var (mask, kept): (Tensor?, Tensor?) = (nil, nil)
    if let generator = pass.generator {
      func drawn(_ shape: [Int], _ rate: Double) throws -> Tensor? {
        rate == 0 ? nil : try .dropoutMask(shape, rate: rate, dtype: y.dtype, device: y.device, from: generator)
      }
      mask = try drawn([shape[0] * shape[1], down.value.shape[0]], dropout)
      kept = try drawn([shape[0], 1], dropPath)?.expanded(-1, shape[1]).reshaped(-1, 1)
    }
    var beside: [Tensor] = []
    var input = input ?? (state.normalized == nil ? .output : .sum)
    switch input {
    case .output: break
    case .sum:
      // The LayerNorm is a node of its own; its output is beside `y` as what the branch was given is.
      if let normalized = state.normalized {
        (input, beside) = (.branch, [try normalized(state.stream + y)])
      } else {
        beside = [state.stream]
      }
    case .stream: beside = [state.stream]
    case .branch: beside = [state.input]
    }
    return try Function.apply("bottleneck", to: [y] + beside + parameters.map(\.value)) { inputs in
      try run(inputs, reading: input, mask: mask, kept: kept)
    }[0]
  }

  /// The products with `U` carry `c`, the scale and the drop-path factors along: `U` gains the column `c`, the hidden units a
  /// 1, and both are scaled where they are small. So nothing passes over `[batch, tokens, width]` but the products and the
  /// sums with `y`, and the scale's gradient is read off the product that gives the gradient of `U`. Where the scale is 1
  /// that is as fast as the formula written out, where not about a tenth faster.
  ///
  /// - Parameter inputs: `y`, what else is read, and the parameters.
  private func run(
    _ inputs: [Tensor], reading input: Bottleneck.Input, mask: Tensor?, kept: Tensor?
  ) throws -> ([Tensor], Function.Backward) {
    let y = inputs[0]
    let beside = input == .output ? nil : inputs[1]
    let first = beside == nil ? 1 : 2
    let (down, downBias, up, upBias) = (inputs[first], inputs[first + 1], inputs[first + 2], inputs[first + 3])
    let gain = gain == nil ? nil : inputs[first + 4]
    let (width, hidden) = (up.shape[0], up.shape[1])
    // Under autocast the products run in its dtype, also in the backward pass, where libtorch has switched it off.
    let precision = autocastDType(on: y.device) ?? y.dtype
    let narrow = try (down: down.to(precision), mask: mask?.to(precision), kept: kept?.to(precision))

    let read = try input == .sum ? y + inputs[1] : beside ?? y
    let rows = try read.to(precision).reshaped(-1, width)
    let before = try rows.linear(narrow.down, downBias.to(precision))
    let after = try activation(before)
    let ones = try Tensor.ones([rows.shape[0], 1], dtype: precision, device: y.device)
    let whole = try Tensor.concatenated([narrow.mask.map { try after * $0 } ?? after, ones], dimension: 1)
    let units = try narrow.kept.map { try whole * $0 } ?? whole
    let plain = try Tensor.concatenated([up, upBias.unsqueezed(1)], dimension: 1)
    let factor = try (gain ?? .ones([1], dtype: up.dtype, device: y.device)).unsqueezed(1) * scale
    let scaled = try (plain * factor).to(precision)
    let output = try units.linear(scaled).reshaped(y.shape).to(y.dtype)
    try output.addInPlace(y)

    let backward: Function.Backward = { [activation, scale] gradients, needed in
      var results = [Tensor?](repeating: nil, count: needed.count)
      guard let gradient = gradients[0] else { return results }
      let g = try gradient.to(precision).reshaped(-1, width)
      let toScaled = try units.transposed().matmul(g).transposed()
      let toPlain = try toScaled * factor
      results[first + 2] = try toPlain.narrowed(1, 0..<hidden)
      results[first + 3] = try toPlain.select(1, hidden)
      if let gain {
        let toChannels = try (toScaled * plain).sum(1) * scale
        results[first + 4] = try gain.count == width ? toChannels : toChannels.sum(0, keep: true)
      }

      var toUnits = try g.matmul(scaled.narrowed(1, 0..<hidden).contiguous())
      if let kept = narrow.kept { toUnits = try toUnits * kept }
      if let mask = narrow.mask { toUnits = try toUnits * mask }
      let toBefore = try activation.backward(toUnits, before: before, after: after)
      results[first] = try toBefore.transposed().matmul(rows)
      results[first + 1] = try toBefore.sum(0)

      let readsY = input == .output || input == .sum
      if needed[0] { results[0] = gradient }
      guard readsY && needed[0] || first == 2 && needed[1] else { return results }
      let toRead = try toBefore.matmul(narrow.down).reshaped(y.shape)
      if first == 2 { results[1] = toRead }
      if readsY, needed[0] { results[0] = try toRead + gradient }
      return results
    }
    return ([output], backward)
  }
}

extension BottleneckLayer {
  /// A fresh layer.
  init(_ configuration: Bottleneck, at branch: Branch, device: Device, generator: Generator) throws {
    let width = branch.width
    let start = try configuration.initialization.fresh(
      hidden: configuration.width ?? max(1, width / 16), width: width, device: device, generator: generator)
    let name = "\(branch.name).adapter"
    down = try Parameter("\(name).down.weight", start.down)
    downBias = try Parameter("\(name).down.bias", start.downBias)
    up = try Parameter("\(name).up.weight", start.up)
    upBias = try Parameter("\(name).up.bias", start.upBias)
    switch configuration.scale {
    case .fixed(let fixed): (gain, scale) = (nil, fixed)
    case .learned(let first): (gain, scale) = (try Parameter("\(name).scale", .full(first, [1], device: device)), 1)
    case .channels: (gain, scale) = (try Parameter("\(name).scale", .ones([width], device: device)), 1)
    }
    input = configuration.input
    activation = configuration.activation
    dropout = configuration.dropout
    dropPath = configuration.dropPath
  }
}

extension Bottleneck.Activation {
  func callAsFunction(_ x: Tensor) throws -> Tensor {
    switch self {
    case .relu: try x.relu()
    case .gelu: try x.gelu()
    case .quickGELU: try x.quickGELU()
    case .swish: try x.silu()
    }
  }

  /// The gradient of what went in, `before`, from that of what came out, `after`.
  func backward(_ gradient: Tensor, before: Tensor, after: Tensor) throws -> Tensor {
    switch self {
    case .relu: return try gradient * after.sign()
    case .gelu: return try before.geluBackward(gradient)
    case .quickGELU: return try sigmoidBackward(1.702)
    case .swish: return try sigmoidBackward(1)
    }
    // (x·s)' = s + k·x·s·(1 − s) for s = sigmoid(k·x).
    func sigmoidBackward(_ k: Double) throws -> Tensor {
      let inner = try (before - after) * k + 1
      return try gradient * inner * (before * k).sigmoid()
    }
  }
}
