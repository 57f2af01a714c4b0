import NeuralNetworks
import Tensors

/// A mixture at one site: its router, its experts, its bias.
struct MixtureLayer: SiteAdapter {
  let configuration: MixtureOfAdapters
  let site: Site
  let router: Router
  let experts: Experts
  /// `β`, `[outFeatures]`
  let bias: Parameter?
  /// The expert that each of the `Σ rank` hidden columns belongs to, int64.
  private let expertOfColumn: Tensor

  enum Experts: Sendable {
    case kronecker([KroneckerExpert])
    case lora([(down: Parameter, up: Parameter)])
  }

  init(
    _ configuration: MixtureOfAdapters, at site: Site, router: Router, experts: Experts, bias: Parameter?,
    device: Device
  ) throws {
    self.configuration = configuration
    self.site = site
    self.router = router
    self.experts = experts
    self.bias = bias
    expertOfColumn = try Tensor(
      configuration.ranks.enumerated().flatMap { index, rank in [Int64](repeating: Int64(index), count: rank) }
    ).to(device)
  }

  /// A fresh mixture.
  init(
    _ configuration: MixtureOfAdapters, at site: Site, slow: KroneckerExpert.Slow?, device: Device,
    generator: Generator
  ) throws {
    let ranks = configuration.ranks
    let experts: Experts
    var bias: Parameter?
    if let slow {
      experts = .kronecker(
        try ranks.enumerated().map { index, rank in
          try KroneckerExpert(
            "\(site.name).experts.\(index)", rank: rank, slow: slow, site: site,
            initialization: configuration.initialization, device: device, generator: generator)
        })
      if configuration.bias {
        bias = try Parameter("\(site.name).bias", .zeros([site.outFeatures], device: device))
      }
    } else {
      experts = .lora(
        try ranks.enumerated().map { index, rank in
          var lora = LoRA(rank: rank, alpha: Double(rank))
          lora.initialization = .gaussian
          let name = "\(site.name).experts.\(index)"
          return (
            down: try Parameter(
              "\(name).lora_A", lora.freshDown(site.inFeatures, device: device, generator: generator)),
            up: try Parameter("\(name).lora_B", .zeros([site.outFeatures, rank], device: device))
          )
        })
    }
    let router = try Router(
      configuration.router, name: "\(site.name).router", inFeatures: site.inFeatures, experts: ranks.count,
      device: device, generator: generator)
    try self.init(configuration, at: site, router: router, experts: experts, bias: bias, device: device)
  }

  var parameters: [Parameter] {
    let ofExperts: [Parameter] =
      switch experts {
      case .kronecker(let experts): experts.flatMap { [$0.left, $0.right] }
      case .lora(let experts): experts.flatMap { [$0.down, $0.up] }
      }
    return ofExperts + router.parameters + (bias.map { [$0] } ?? [])
  }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let tokens = input.count / site.inFeatures
    let draws = try pass.generator.map { try draw(tokens: tokens, like: input, from: $0) } ?? Draws()
    return try output(of: linear, input: input, draws: draws, pass: pass)
  }

  /// What is random in one training pass; the rest is a function of it.
  struct Draws {
    /// Added to the logits, `[tokens, experts]`.
    var noise: Tensor?
    /// Multiplied into each Kronecker expert's `H`, `[inFeatures, outFeatures]`: 0, or `1 / (1 − dropConnect)`.
    var masks: [Tensor]?
  }

  func draw(tokens: Int, like input: Tensor, from generator: Generator) throws -> Draws {
    var draws = Draws()
    if configuration.noiseDeviation > 0 {
      draws.noise = try .normal(
        [tokens, configuration.ranks.count], deviation: configuration.noiseDeviation,
        dtype: input.dtype == .float64 ? .float64 : .float32, device: input.device, from: generator)
    }
    if case .kronecker(let experts) = experts, configuration.dropConnect > 0 {
      let dtype = autocastDType(on: input.device) ?? experts[0].left.value.dtype
      draws.masks = try experts.map { _ in
        try .dropoutMask(
          [site.inFeatures, site.outFeatures], rate: configuration.dropConnect, dtype: dtype, device: input.device,
          from: generator)
      }
    }
    return draws
  }

  func output(of linear: Linear, input: Tensor, draws: Draws, pass: ForwardPass) throws -> Tensor {
    let shape = input.shape
    let rows = try input.reshaped(-1, site.inFeatures)
    let decision = try route(rows, noise: draws.noise, pass)
    if let onRouting = pass.onRouting {
      let tokens = Array(shape.dropLast()) + [configuration.ranks.count]
      try onRouting(
        ForwardPass.Routing(
          site: site, gates: decision.gates.reshaped(tokens), probabilities: decision.probabilities.reshaped(tokens)))
    }
    let base = try linear.shifted(by: bias?.value)(rows)
    let correction = try mixed(rows, gates: decision.gates, masks: draws.masks)
    return try (base + correction).reshaped(shape.dropLast() + [site.outFeatures])
  }

  /// A mixture depends on the token; only a lone expert, whose gate is always 1, is a change of the weight.
  func delta(of linear: Linear) -> SiteDelta? {
    guard configuration.ranks.count == 1 else { return nil }
    return SiteDelta(weight: expertDelta(0), bias: bias?.value)
  }

  /// The update of one expert, ungated.
  func expertDelta(_ index: Int) -> any WeightDelta {
    switch experts {
    case .kronecker(let experts): experts[index].delta
    case .lora(let experts): LowRankDelta(down: experts[index].down.value, up: experts[index].up.value)
    }
  }

  private func route(_ rows: Tensor, noise: Tensor?, _ pass: ForwardPass) throws -> Router.Decision {
    try withFullPrecision(on: rows.device) {
      let tokens = rows.dtype == .float64 ? rows : try rows.to(.float32)
      let decision = try router.decide(
        tokens, topK: configuration.topK, gating: configuration.gating, noise: noise)
      if pass.isTraining, configuration.auxiliaryWeight > 0 {
        let deviation = configuration.noiseDeviation
        // Where the noise is off, the load is still smoothed as if there were the usual amount.
        let smoothing = deviation > 0 ? deviation : 1 / Double(configuration.ranks.count)
        let loss = try LoadBalance.loss(
          probabilities: decision.probabilities, threshold: decision.threshold, deviation: smoothing)
        pass.add(auxiliaryLoss: try loss * configuration.auxiliaryWeight)
      }
      return decision
    }
  }

  /// `Σ_e g_e · D_e(x)`, `[tokens, inFeatures]` to `[tokens, outFeatures]`.
  private func mixed(_ rows: Tensor, gates: Tensor, masks: [Tensor]?) throws -> Tensor {
    switch experts {
    case .lora(let experts):
      let down = try Tensor.concatenated(experts.map(\.down.value))
      let up = try Tensor.concatenated(experts.map(\.up.value), dimension: 1)
      return try (rows.linear(down) * gates.selected(1, expertOfColumn)).linear(up)
    case .kronecker(let experts):
      let slow = experts[0].slow
      if let masks {
        // Dropped entries leave no structure to use, but each token needs only the experts chosen for it.
        let coarse = try KroneckerDelta.coarse(slow.left.value, slow.right.value)
        let dense = try zip(experts, masks).map { expert, mask in
          try KroneckerDelta.rowForm(coarse: coarse, fine: expert.left.value.matmul(expert.right.value)) * mask
        }
        return try ExpertDispatch.apply(rows, gates: gates, experts: dense)
      }
      return try KroneckerDelta.apply(
        to: rows, coarseLeft: slow.left.value, coarseRight: slow.right.value,
        fineLeft: .concatenated(experts.map(\.left.value), dimension: 2),
        fineRight: .concatenated(experts.map(\.right.value), dimension: 1),
        gates: gates.selected(1, expertOfColumn))
    }
  }
}
