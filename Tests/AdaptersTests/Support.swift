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

/// A pretrained network in miniature: `x ← x + proj(gelu(qkv(LN(x))))` in each block, then the mean over the tokens.
struct TinyBackbone: Backbone {
  static let width = 12
  static let hidden = 36
  let sites: [Site]
  let tensors: [(name: String, tensor: Tensor)]
  let device = Device.cpu
  let featureWidth = width
  let fingerprint = "tiny"

  init(blocks: Int = 2, seed: UInt64 = 1) throws {
    let generator = try Generator(seed: seed)
    sites = (0..<blocks).flatMap { block in
      [
        Site(
          name: "blocks.\(block).attn.qkv", block: block, role: .qkv, inFeatures: Self.width, outFeatures: Self.hidden),
        Site(
          name: "blocks.\(block).attn.proj", block: block, role: .proj, inFeatures: Self.hidden, outFeatures: Self.width
        ),
      ]
    }
    var tensors: [(name: String, tensor: Tensor)] = []
    for site in sites {
      let deviation = 1 / Double(site.inFeatures).squareRoot()
      let weight = try Tensor.normal([site.outFeatures, site.inFeatures], deviation: deviation, from: generator)
      tensors.append(("\(site.name).weight", weight))
      tensors.append(("\(site.name).bias", try .normal([site.outFeatures], deviation: 0.1, from: generator)))
    }
    for block in 0..<blocks {
      tensors.append(("blocks.\(block).norm1.weight", try .ones([Self.width])))
      tensors.append(("blocks.\(block).norm1.bias", try .normal([Self.width], deviation: 0.1, from: generator)))
    }
    self.tensors = tensors
  }

  init(replacing backbone: TinyBackbone, with change: (String, Tensor) throws -> Tensor) throws {
    sites = backbone.sites
    tensors = try backbone.tensors.map { ($0.name, try change($0.name, $0.tensor)) }
  }

  func tensor(_ name: String) throws -> Tensor { try #require(tensors.first { $0.name == name }).tensor }

  func linear(at site: Site) throws -> Linear {
    Linear(site: site, weight: try tensor("\(site.name).weight"), bias: try tensor("\(site.name).bias"))
  }

  func modules(at site: Site) -> [String] { [site.name] }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    var x = input
    for (qkv, proj) in zip(sites.filter { $0.role == .qkv }, sites.filter { $0.role == .proj }) {
      let norm = qkv.name.replacing("attn.qkv", with: "norm1")
      func value(_ name: String) throws -> Tensor { adaptation.value(of: name, original: try tensor(name)) }
      let y = try x.layerNorm(
        width: Self.width, weight: value("\(norm).weight"), bias: value("\(norm).bias"), epsilon: 1e-5)
      let z = try adaptation.output(of: linear(at: qkv), input: y, pass: pass).gelu()
      x = try x + adaptation.output(of: linear(at: proj), input: z, pass: pass)
    }
    return try x.mean(1)
  }
}

/// The sites and the shapes of ViT-B/16, every tensor one number seen many times: for counts, not for outputs.
struct ShapesOfViTB: Backbone {
  let sites: [Site]
  let tensors: [(name: String, tensor: Tensor)]
  let device = Device.cpu
  let featureWidth = 768
  let fingerprint = "shapes"

  init() throws {
    let number = try Tensor.zeros([1])
    var tensors: [(name: String, tensor: Tensor)] = []
    func add(_ name: String, _ shape: Int...) throws {
      let ones = [Int](repeating: 1, count: shape.count)
      tensors.append((name, try number.reshaped(ones).expanded(shape)))
    }
    try add("cls_token", 1, 1, 768)
    try add("pos_embed", 1, 197, 768)
    try add("patch_embed.weight", 768, 3, 16, 16)
    try add("patch_embed.bias", 768)
    var sites: [Site] = []
    for block in 0..<12 {
      for norm in ["norm1", "norm2"] {
        try add("blocks.\(block).\(norm).weight", 768)
        try add("blocks.\(block).\(norm).bias", 768)
      }
      let maps: [(String, Site.Role, Int, Int)] = [
        ("attn.qkv", .qkv, 768, 2304), ("attn.proj", .proj, 768, 768), ("mlp.fc1", .fc1, 768, 3072),
        ("mlp.fc2", .fc2, 3072, 768),
      ]
      for (name, role, inFeatures, outFeatures) in maps {
        let name = "blocks.\(block).\(name)"
        sites.append(
          Site(name: name, block: block, role: role, inFeatures: inFeatures, outFeatures: outFeatures))
        try add("\(name).weight", outFeatures, inFeatures)
        try add("\(name).bias", outFeatures)
      }
    }
    try add("norm.weight", 768)
    try add("norm.bias", 768)
    self.sites = sites
    self.tensors = tensors
  }

  func linear(at site: Site) throws -> Linear {
    func tensor(_ name: String) throws -> Tensor { try #require(tensors.first { $0.name == name }).tensor }
    return Linear(site: site, weight: try tensor("\(site.name).weight"), bias: try tensor("\(site.name).bias"))
  }

  func modules(at site: Site) -> [String] { [site.name] }

  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor { input }
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
  /// Moves every parameter away from where it started.
  func perturb(seed: UInt64 = 9, deviation: Double = 0.2) throws {
    let generator = try Generator(seed: seed)
    for parameter in parameters {
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
