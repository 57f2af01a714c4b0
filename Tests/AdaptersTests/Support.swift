import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

/// A file of reference numbers.
struct Fixture {
  private let file: SafetensorsFile

  init(_ name: String) throws {
    let folder = try #require(Bundle.module.resourceURL)
    file = try SafetensorsFile(contentsOf: folder.appending(path: "Fixtures/\(name).safetensors"))
  }

  subscript(name: String) -> Tensor { get throws { try file.tensor(name) } }

  func parameter(_ name: String) throws -> Parameter { try Parameter(name, file.tensor(name)) }
}

/// A pretrained network in miniature: `x ← x + proj(z + mean of z over the tokens)` for `z = gelu(qkv(LN(x)))`, then
/// `x ← x + fc2(gelu(fc1(LN(x))))` in each block, then the mean over the tokens. Its first token stands for the class token,
/// so prompts go behind it.
struct TinyBackbone: Backbone {
  static let width = 12
  static let hidden = 36
  let sites: [Site]
  let branches: [Branch]
  let layerNorms: [String]
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)]
  let device = Device.cpu
  let featureWidth = width
  let fingerprint = "tiny"

  init(blocks: Int = 2, seed: UInt64 = 1) throws {
    let generator = try Generator(seed: seed)
    let maps: [(String, Site.Role, Int, Int)] = [
      ("attn.qkv", .qkv, Self.width, Self.hidden), ("attn.proj", .proj, Self.hidden, Self.width),
      ("mlp.fc1", .fc1, Self.width, 24), ("mlp.fc2", .fc2, 24, Self.width),
    ]
    sites = (0..<blocks).flatMap { block in
      maps.map { name, role, inFeatures, outFeatures in
        Site(
          name: "blocks.\(block).\(name)", block: block, role: role, inFeatures: inFeatures, outFeatures: outFeatures)
      }
    }
    branches = (0..<blocks).flatMap { block in
      [Branch.Kind.attention, .mlp].map { kind in
        Branch(
          name: "blocks.\(block).\(kind == .mlp ? "mlp" : "attn")", block: block, kind: kind, width: Self.width)
      }
    }
    layerNorms = (0..<blocks).flatMap { ["blocks.\($0).norm1", "blocks.\($0).norm2"] }
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

  init(replacing backbone: TinyBackbone, with change: (String, Tensor) throws -> Tensor) throws {
    sites = backbone.sites
    branches = backbone.branches
    layerNorms = backbone.layerNorms
    tensors = try backbone.tensors.map { ($0.name, try change($0.name, $0.tensor)) }
  }

  func tensor(_ name: String) throws -> Tensor { try #require(tensors.first { $0.name == name }).tensor }

  func linear(at site: Site) throws -> Linear {
    let name = site.whole?.name ?? site.name
    let whole = try #require(sites.first { $0.name == name })
    let linear = Linear(site: whole, weight: try tensor("\(name).weight"), bias: try tensor("\(name).bias"))
    return try site.whole.map { try linear.part($0.rows, at: site) } ?? linear
  }

  func modules(at site: Site) -> [String] { site.whole == nil ? [site.name] : [] }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    func value(_ name: String) throws -> Tensor { try adaptation.value(of: name, original: try tensor(name)) }
    var x = input
    for (index, branch) in branches.enumerated() {
      if index % 2 == 0 { x = try adaptation.sequence(x, entering: branch.block, prefix: 1, pass: pass) }
      let norm = layerNorms[index]
      let y = try x.layerNorm(
        width: Self.width, weight: value("\(norm).weight"), bias: value("\(norm).bias"), epsilon: 1e-5)
      var z = try adaptation.output(of: linear(at: sites[2 * index]), input: y, pass: pass).gelu()
      if branch.kind == .attention { z = try z + z.mean(1, keep: true) }
      let output = try adaptation.output(of: linear(at: sites[2 * index + 1]), input: z, pass: pass)
      x = try x + adaptation.output(of: branch, BranchState(input: y, stream: x, output: output), pass: pass)
    }
    return try adaptation.sequence(x, entering: nil, prefix: 1, pass: pass).mean(1)
  }
}

/// ViT-B/16 without its weights.
typealias ShapesOfViTB = ShapesOnly

extension ShapesOnly {
  init() throws { try self.init(.vitBase16) }
}

extension Site {
  /// A site outside any network.
  static func lone(_ inFeatures: Int, _ outFeatures: Int, name: String = "layer") -> Site {
    Site(name: name, block: 0, role: .qkv, inFeatures: inFeatures, outFeatures: outFeatures)
  }
}

extension Generator {
  /// Standard normal numbers, float64.
  func normal(_ shape: Int..., deviation: Double = 1) throws -> Tensor {
    try .normal(shape, deviation: deviation, dtype: .float64, from: self)
  }
}

extension Adapter {
  /// Moves every parameter away from where it started, those that do not train too.
  func perturb(seed: UInt64 = 9, deviation: Double = 0.2) throws {
    let generator = try Generator(seed: seed)
    for parameter in stored {
      try withoutGradients {
        try parameter.value.addInPlace(.normal(parameter.value.shape, deviation: deviation, from: generator))
      }
    }
  }

  func parameter(_ name: String) throws -> Parameter { try #require(parameters.first { $0.name == name }) }
}

/// Whether the largest difference is at most `tolerance` times the largest number expected.
func expectClose(
  _ found: Tensor, _ expected: Tensor, tolerance: Double = 1e-12, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  #expect(found.shape == expected.shape, sourceLocation: sourceLocation)
  guard found.shape == expected.shape else { return }
  let difference = try (found.to(.float64) - expected.to(.float64)).abs().max().item()
  let scale = try Swift.max(expected.to(.float64).abs().max().item(), 1e-300)
  #expect(difference / scale <= tolerance, sourceLocation: sourceLocation)
}

func expectClose(
  _ tensor: Tensor, _ expected: [Double], tolerance: Double = 1e-6, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let found = try tensor.doubles()
  #expect(found.count == expected.count, sourceLocation: sourceLocation)
  for (index, (one, other)) in zip(found, expected).enumerated() where !(abs(one - other) <= tolerance) {
    Issue.record("element \(index) is \(one), not \(other)", sourceLocation: sourceLocation)
  }
}

/// The gradients of `loss`; what it does not depend on is refused.
func gradients(
  of loss: Tensor, _ leaves: [Tensor], sourceLocation: SourceLocation = #_sourceLocation
) throws -> [Tensor] {
  try loss.gradients(leaves).map { try #require($0, sourceLocation: sourceLocation) }
}

/// The gradient of `loss` with respect to a float64 leaf that it reads, by central differences.
func differences(of leaf: Tensor, step: Double = 1e-5, _ loss: () throws -> Tensor) throws -> Tensor {
  try withoutGradients {
    let values = try leaf.doubles()
    defer { try? leaf.copyInPlace(Tensor(values, shape: leaf.shape)) }
    let slopes = try values.indices.map { index in
      func value(_ offset: Double) throws -> Double {
        var moved = values
        moved[index] += offset
        try leaf.copyInPlace(Tensor(moved, shape: leaf.shape))
        return try loss().item()
      }
      return try (value(step) - value(-step)) / (2 * step)
    }
    return try Tensor(slopes, shape: leaf.shape)
  }
}

/// The error that `body` throws, as the type it should have.
func thrown<Failure: Error>(
  _ type: Failure.Type = AdapterError.self, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) throws -> Failure {
  try #require(#expect(throws: type, sourceLocation: sourceLocation, performing: body), sourceLocation: sourceLocation)
}

/// A random vision transformer of two blocks: width 24, patches of 4, images of 16.
func smallTransformer() throws -> VisionTransformer {
  let folder = try #require(Bundle.module.resourceURL)
  return try VisionTransformer(from: folder.appending(path: "Fixtures/peft-backbone"))
}
