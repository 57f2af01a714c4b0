import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Compute @Suite struct PackedExpertsTests {
  /// Experts of a `FlatBackbone` with an offset, their gates 0 and 1.
  private func trained(_ backbone: FlatBackbone, experts: Int = 3, density: Double = 0.3) throws -> SparseExperts {
    var settings = SparseExperts.Settings()
    (settings.experts, settings.masks) = (experts, .random(density: density))
    let result = try SparseExperts(of: backbone, settings: settings, seed: 2)
    try result.perturb()
    return result
  }

  private let mixing = [0.2, 0.5, 0.3]

  @Test func `binary experts merge to the same bits as before`() throws {
    let backbone = try FlatBackbone(dtype: .float32)
    let experts = try trained(backbone)
    let packed = try PackedExperts(experts, of: backbone)
    #expect(packed.roundedGates == 0)
    #expect(packed.experts == 3)
    let (one, two) = try (TaskWeights(of: backbone), TaskWeights(of: backbone))
    experts.scale = 0.7
    try experts.merge(mixing, into: one)
    try packed.merge(mixing, into: two, scale: 0.7)
    for (one, two) in zip(one.tensors, two.tensors) { #expect(try one.isEqual(to: two)) }
    #expect(try two.tensors[0].detached().distance(to: backbone.tensors[0].tensor) > 0.01)
    // A byte for each weight, and δ where any expert has it.
    let union = packed.values.reduce(0) { $0 + $1.count }
    #expect(packed.bytes == backbone.parameterCount + 4 * union)
    #expect(union < backbone.parameterCount)
  }

  @Test func `gates in between are rounded and counted`() throws {
    let backbone = try FlatBackbone()
    var settings = SparseExperts.Settings()
    settings.experts = 3
    let experts = try SparseExperts(of: backbone, settings: settings, seed: 2)
    try experts.perturb()
    let packed = try PackedExperts(experts, of: backbone)
    let binary = try experts.measures().filter { $0.name.hasPrefix("binary.") }.reduce(0) { $0 + $1.value }
    #expect(packed.roundedGates == Int(((3 - binary) * Double(backbone.parameterCount)).rounded()))
    #expect(packed.roundedGates > 200)
  }

  @Test(arguments: [3, 12]) func `what is stored in a file is read again`(experts: Int) throws {
    let backbone = try FlatBackbone(dtype: .float32)
    let packed = try PackedExperts(trained(backbone, experts: experts), of: backbone)
    let url = FileManager.default.temporaryDirectory.appending(path: "packed-\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: url) }
    var writer = SafetensorsWriter()
    for (name, tensor) in try packed.stored { try writer.add(name, tensor) }
    try writer.add("somebody.else", Tensor([1.0]))
    try writer.write(to: url)
    let file = try SafetensorsFile(contentsOf: url)
    let stored = try Dictionary(uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0)) })
    let read = try PackedExperts(stored: stored, of: backbone)
    #expect((read.experts, read.roundedGates) == (experts, packed.roundedGates))
    let (one, two) = try (TaskWeights(of: backbone), TaskWeights(of: backbone))
    let mixing = (0..<experts).map { Double($0 + 1) / 10 }
    try packed.merge(mixing, into: one)
    try read.merge(mixing, into: two)
    for (one, two) in zip(one.tensors, two.tensors) { #expect(try one.isEqual(to: two)) }
  }

  @Test func `a file that does not fit is refused`() throws {
    let backbone = try FlatBackbone(dtype: .float32)
    let stored = try Dictionary(
      uniqueKeysWithValues: PackedExperts(trained(backbone), of: backbone).stored.map { ($0.name, $0.tensor) })
    func read(_ change: (inout [String: Tensor]) throws -> Void) throws -> PackedExperts {
      var changed = stored
      try change(&changed)
      return try PackedExperts(stored: changed, of: backbone)
    }
    let (bits, offset) = ("packed.bits.blocks.0.norm1.bias", "packed.offset.blocks.0.norm1.bias")
    #expect(throws: MetaWeightsError.missing(bits)) { try read { $0[bits] = nil } }
    #expect(throws: MetaWeightsError.missing("packed.experts")) { try read { $0["packed.experts"] = nil } }
    #expect(throws: MetaWeightsError.missing("packed.rounded")) { try read { $0["packed.rounded"] = nil } }
    #expect(throws: MetaWeightsError.unknown("packed.bits.head")) { try read { $0["packed.bits.head"] = $0[bits] } }
    #expect(throws: MetaWeightsError.shape(bits, found: [6, 1], expected: [6, 2])) {
      try read {
        $0["packed.experts"] = try Tensor(Int64(9))
        for (name, tensor) in $0 where name.hasPrefix("packed.bits.") && name != bits {
          $0[name] = try .concatenated([tensor, tensor.zerosLike()], dimension: 1)
        }
      }
    }
    #expect(throws: MetaWeightsError.noExperts(-1)) { try read { $0["packed.experts"] = try Tensor(Int64(-1)) } }
    let kept = try #require(stored[offset]).count
    #expect(throws: MetaWeightsError.shape(offset, found: [kept + 1], expected: [kept])) {
      try read { $0[offset] = try .zeros([kept + 1]) }
    }
    #expect(throws: MetaWeightsError.dtype("float64", tensor: offset)) {
      try read { $0[offset] = try $0[offset]?.to(.float64) }
    }
    #expect(throws: MetaWeightsError.mixing(2, experts: 3)) {
      try read { _ in }.merge([1, 2], into: TaskWeights(of: backbone))
    }
  }
}
