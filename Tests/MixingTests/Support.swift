import Adapters
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

extension AdapterVector {
  /// One matrix `weight` of one row.
  static func row(_ values: [Float]) throws -> AdapterVector {
    try AdapterVector(AdapterLayout([("weight", [1, values.count], 0, true)]), values)
  }

  /// A row of standard normal numbers.
  static func random(_ count: Int, seed: UInt64) throws -> AdapterVector {
    try .row(Tensor.normal([count], from: Generator(seed: seed)).floats())
  }
}

/// A network in miniature: `x ← x + fc2(gelu(fc1(LN(x))))` in each block, then the mean over the tokens.
struct MixingBackbone: Backbone {
  static let width = 6
  static let hidden = 10
  let sites: [Site]
  let branches: [Branch]
  let layerNorms: [String]
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)]
  let device = Device.cpu
  let featureWidth = width
  let fingerprint: String

  init(blocks: Int = 2, seed: UInt64 = 1) throws {
    let generator = try Generator(seed: seed)
    fingerprint = "miniature \(blocks) \(seed)"
    sites = (0..<blocks).flatMap { block in
      [
        Site(
          name: "blocks.\(block).mlp.fc1", block: block, role: .fc1, inFeatures: Self.width, outFeatures: Self.hidden),
        Site(
          name: "blocks.\(block).mlp.fc2", block: block, role: .fc2, inFeatures: Self.hidden, outFeatures: Self.width),
      ]
    }
    branches = (0..<blocks).map { Branch(name: "blocks.\($0).mlp", block: $0, kind: .mlp, width: Self.width) }
    layerNorms = (0..<blocks).map { "blocks.\($0).norm2" }
    var tensors: [(name: String, tensor: Tensor)] = []
    for site in sites {
      let deviation = 1 / Double(site.inFeatures).squareRoot()
      let weight = try Tensor.normal([site.outFeatures, site.inFeatures], deviation: deviation, from: generator)
      tensors.append(("\(site.name).weight", weight))
      tensors.append(("\(site.name).bias", try .normal([site.outFeatures], deviation: 0.1, from: generator)))
    }
    for norm in layerNorms {
      tensors.append(("\(norm).weight", try .ones([Self.width])))
      tensors.append(("\(norm).bias", try .normal([Self.width], deviation: 0.1, from: generator)))
    }
    self.tensors = tensors
  }

  func tensor(_ name: String) throws -> Tensor { try #require(tensors.first { $0.name == name }).tensor }

  func linear(at site: Site) throws -> Linear {
    Linear(site: site, weight: try tensor("\(site.name).weight"), bias: try tensor("\(site.name).bias"))
  }

  func modules(at site: Site) -> [String] { site.whole == nil ? [site.name] : [] }

  /// `[batch, tokens, width]` to `[batch, width]`.
  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    func value(_ name: String) throws -> Tensor { try adaptation.value(of: name, original: try tensor(name)) }
    var x = input
    for (index, branch) in branches.enumerated() {
      x = try adaptation.sequence(x, entering: branch.block, prefix: 1, pass: pass)
      let norm = layerNorms[index]
      let y = try x.layerNorm(
        width: Self.width, weight: value("\(norm).weight"), bias: value("\(norm).bias"), epsilon: 1e-5)
      let z = try adaptation.output(of: linear(at: sites[2 * index]), input: y, pass: pass).gelu()
      let output = try adaptation.output(of: linear(at: sites[2 * index + 1]), input: z, pass: pass)
      x = try x + adaptation.output(of: branch, BranchState(input: y, stream: x, output: output), pass: pass)
    }
    return try adaptation.sequence(x, entering: nil, prefix: 1, pass: pass).mean(1)
  }
}

extension LoRA {
  static let small = LoRA(rank: 2)
}

extension Adapter {
  /// Moves every parameter away from where it started.
  func perturb(seed: UInt64 = 9, deviation: Double = 0.2) throws {
    let generator = try Generator(seed: seed)
    for parameter in parameters {
      try withoutGradients {
        try parameter.value.addInPlace(.normal(parameter.value.shape, deviation: deviation, from: generator))
      }
    }
  }
}
