import Adapters
import NeuralNetworks

/// Puts the members side by side in one adapter that averages what they give, in place of mixing what they are.
struct OutputMixer {
  private let mix: Mix
  private let backbone: any Backbone

  init(_ mix: Mix, _ backbone: any Backbone) {
    self.mix = mix
    self.backbone = backbone
  }

  func outcome() throws -> Mix.Outcome {
    try Self.check(mix.rule, isConstant: mix.schedule == nil)
    let members = mix.members.filter { $0.weight != 0 }
    let weights = try mix.rule.coefficients(members.map(\.weight))
    let adapters = members.map(\.model.adapter)
    let composition = OutputAverage(
      of: zip(members, adapters).map { (name: $0.name, adapter: $1) }, weights: weights)
    return Mix.Outcome(
      adapter: try backbone.composed(by: composition, of: adapters).adapter, places: [], norm: 0, meanMemberNorm: 0,
      fromSharedStart: false,
      warnings: ["nothing was mixed into one: the result costs as much as its \(members.count) members together"])
  }

  /// Outputs have means only.
  static func check(_ rule: any MixingRule, isConstant: Bool) throws(MixtureError) {
    let isMean = rule is Uniform || (rule as? Weighted)?.normalize == true
    guard isMean, isConstant else { throw .needsMean(type(of: rule).name) }
  }
}
