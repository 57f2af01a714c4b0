import Adapters
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

@Suite struct UnitAlignmentTests {
  let backbone = OneMap(width: 6)

  func adapter(_ configuration: some AdapterConfiguration, seed: UInt64) throws -> Adapter {
    let adapter = try Adapter(configuration, at: backbone.sites, of: backbone, generator: Generator(seed: seed))
    let generator = try Generator(seed: seed + 100)
    for parameter in adapter.parameters { try parameter.load(.normal(parameter.value.shape, from: generator)) }
    return adapter
  }

  /// The same function with its units in another order.
  func permuted(_ vector: AdapterVector, _ order: [Int], turned: Set<Int> = [], factor: Float = 1) throws
    -> AdapterVector
  {
    var moved = vector
    for units in try HiddenUnits.all(in: vector.layout) {
      for (unit, source) in order.enumerated() {
        let sign: Float = turned.contains(unit) ? -1 : 1
        let count = units.places(of: unit).count
        var inputs = 0
        units.forEachInput(of: unit) { _ in inputs += 1 }
        let (to, from) = (units.places(of: unit), units.places(of: source))
        for place in 0..<count {
          let scale = place < inputs ? factor : 1 / factor
          moved.values[to[place]] = sign * scale * vector.values[from[place]]
        }
      }
    }
    return moved
  }

  func output(_ vector: AdapterVector, _ configuration: some AdapterConfiguration) throws -> Tensor {
    let adapter = try adapter(configuration, seed: 9)
    try vector.load(into: adapter)
    let x = try Tensor.normal([2, 3, 6], from: Generator(seed: 5))
    return try backbone.features(x, adaptation: adapter, pass: ForwardPass())
  }

  @Test func `two orders of one function, of which the average is neither, as in the oracle`() throws {
    // W_down = W_up = I, and rows of the one and columns of the other swapped.
    let layout = AdapterLayout([
      (name: "b.adapter.down.weight", shape: [2, 2], block: nil, isWeight: true),
      (name: "b.adapter.down.bias", shape: [2], block: nil, isWeight: false),
      (name: "b.adapter.up.weight", shape: [2, 2], block: nil, isWeight: true),
    ])
    let one = try AdapterVector(layout, [1, 0, 0, 1, 0, 0, 1, 0, 0, 1])
    let other = try AdapterVector(layout, [0, 1, 1, 0, 0, 0, 0, 1, 1, 0])
    func function(_ vector: AdapterVector, _ x: [Float]) -> [Float] {
      let v = vector.values
      let hidden = (0..<2).map { max(0, v[$0 * 2] * x[0] + v[$0 * 2 + 1] * x[1] + v[4 + $0]) }
      return (0..<2).map { v[6 + $0 * 2] * hidden[0] + v[6 + $0 * 2 + 1] * hidden[1] }
    }
    func mean(_ one: AdapterVector, _ other: AdapterVector) throws -> AdapterVector {
      try LoraHub.mixture([one, other], weights: [0.5, 0.5])
    }
    #expect(function(one, [1, 0]) == [1, 0] && function(other, [1, 0]) == [1, 0])
    #expect(try function(mean(one, other), [1, 0]) == [0.5, 0.5])
    let aligned = try UnitAlignment(other, to: one)
    #expect(aligned.vector.values == one.values)
    #expect(try function(mean(one, aligned.vector), [1, 0]) == [1, 0])
    #expect(
      aligned.modules == [
        .init(name: "b.adapter", order: [1, 0], isTurned: [false, false], distanceBefore: 8, distanceAfter: 0)
      ])
  }

  @Test func `a permuted copy comes back bit for bit, and a permutation changes no output`() throws {
    let method = Houlsby(width: 5)
    let vector = try AdapterVector(adapter(method, seed: 1))
    let copy = try permuted(vector, [3, 0, 4, 1, 2])
    #expect(copy.values != vector.values)
    #expect(try output(copy, method).isClose(to: output(vector, method), tolerance: 1e-5))
    let aligned = try UnitAlignment(copy, to: vector)
    #expect(aligned.vector.values == vector.values)
    #expect(aligned.modules.map(\.name) == ["blocks.0.mlp.adapter"] || aligned.modules.count == 2)
    #expect(aligned.modules.allSatisfy { $0.order == [1, 3, 4, 0, 2] && $0.distanceAfter < 1e-6 && $0.isChanged })
  }

  @Test func `adapters that started apart come nearer, and compute what they did`() throws {
    let method = Pfeiffer(width: 5)
    let (one, other) = try (AdapterVector(adapter(method, seed: 1)), AdapterVector(adapter(method, seed: 2)))
    let aligned = try UnitAlignment(other, to: one)
    let distance = zip(one.values, other.values).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
    let after = zip(one.values, aligned.vector.values).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
    #expect(after < 0.9 * distance)
    #expect(try output(aligned.vector, method).isClose(to: output(other, method), tolerance: 1e-5))
    let module = try #require(aligned.modules.first)
    // All but the output's bias, which belongs to no unit, is in the distance.
    #expect(abs((module.distanceBefore - module.distanceAfter) - (distance - after)) < 1e-3)
    #expect(try UnitAlignment.aligned([one, other])[1].values == aligned.vector.values)
    #expect(try !UnitAlignment(one, to: one).modules[0].isChanged)
  }

  @Test func `the terms of LoRA are ordered and turned around`() throws {
    let method = LoRA(rank: 4)
    let vector = try AdapterVector(adapter(method, seed: 1))
    let copy = try permuted(vector, [2, 3, 0, 1], turned: [1, 2])
    #expect(try output(copy, method).isClose(to: output(vector, method), tolerance: 1e-5))
    let aligned = try UnitAlignment(copy, to: vector)
    #expect(aligned.vector.values == vector.values)
    #expect(aligned.modules[0].order == [2, 3, 0, 1] && aligned.modules[0].isTurned.filter { $0 }.count == 2)
  }

  @Test func `balanced, units of any scale are alike, and ReLU computes what it did`() throws {
    let method = Pfeiffer(width: 5)
    let vector = try AdapterVector(adapter(method, seed: 1))
    let scaled = try permuted(vector, [0, 1, 2, 3, 4], factor: 7)
    #expect(try output(scaled, method).isClose(to: output(vector, method), tolerance: 1e-4))
    let (one, other) = try (UnitAlignment.balanced(vector), UnitAlignment.balanced(scaled))
    #expect(zip(one.values, other.values).allSatisfy { abs($0 - $1) < 1e-5 })
    #expect(try output(one, method).isClose(to: output(vector, method), tolerance: 1e-4))
    #expect(zip(one.values, vector.values).contains { abs($0 - $1) > 0.05 })
  }

  @Test func `other structures, NaN and adapters without units are refused`() throws {
    let vector = try AdapterVector(adapter(Pfeiffer(width: 5), seed: 1))
    #expect(throws: MixingError.self) {
      try UnitAlignment(vector, to: AdapterVector(adapter(Pfeiffer(width: 4), seed: 1)))
    }
    var bad = vector
    bad.values[0] = .nan
    #expect(throws: AlignmentError.notFinite("blocks.0.mlp.adapter")) { try UnitAlignment(bad, to: vector) }
    let plain = try AdapterVector(
      AdapterLayout([(name: "x", shape: [2, 2], block: nil, isWeight: true)]), [1, 2, 3, 4])
    #expect(throws: AlignmentError.noHiddenUnits) { try UnitAlignment(plain, to: plain) }
    let crooked = try AdapterVector(
      AdapterLayout([
        (name: "x.lora_A", shape: [2, 2], block: nil, isWeight: true),
        (name: "x.lora_B", shape: [2, 1], block: nil, isWeight: true),
      ]), [1, 2, 3, 4, 5, 6])
    #expect(throws: AlignmentError.shape("x.lora_B", [2, 1], expected: "[features, 2]")) {
      try UnitAlignment(crooked, to: crooked)
    }
  }
}

/// A map to and from the same width, and the two branches of a block.
struct OneMap: Backbone {
  let width: Int
  var sites: [Site] {
    [Site(name: "blocks.0.attn.qkv", block: 0, role: .qkv, inFeatures: width, outFeatures: width)]
  }
  var branches: [Branch] {
    [Branch.Kind.attention, .mlp].map {
      Branch(name: "blocks.0.\($0 == .mlp ? "mlp" : "attn")", block: 0, kind: $0, width: width)
    }
  }
  let layerNorms: [String] = []
  let stem: String? = nil
  let tensors: [(name: String, tensor: Tensor)] = []
  let device = Device.cpu
  var featureWidth: Int { width }
  let fingerprint = "one map"

  func linear(at site: Site) throws -> Linear {
    Linear(site: sites[0], weight: try .identity(width), bias: nil)
  }
  func modules(at site: Site) -> [String] { [] }
  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
    var x = try adaptation.output(of: linear(at: sites[0]), input: input, pass: pass)
    for branch in branches {
      x = try x + adaptation.output(of: branch, BranchState(input: x, stream: x, output: x.tanh()), pass: pass)
    }
    return x
  }
}
