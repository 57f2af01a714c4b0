import Formats
import Foundation
import Tensors
import Testing

@testable import NeuralNetworks

@Suite struct CanonicalWeightsTests {
  private func weights(_ names: String...) throws -> CanonicalWeights {
    var weights = CanonicalWeights()
    for (index, name) in names.enumerated() { try weights.set(name, try Tensor(Double(index)), from: ["file.\(name)"]) }
    return weights
  }

  @Test func `tensors are found by name, and remember what they came from`() throws {
    let weights = try weights("norm.weight", "cls_token")
    #expect(try weights["cls_token"]?.item() == 1)
    #expect(try weights.tensor("norm.weight").item() == 0)
    #expect(weights["pos_embed"] == nil)
    #expect(weights.sources["cls_token"] == ["file.cls_token"])
    let error = try thrown(LoadError.self) { _ = try weights.tensor("pos_embed") }
    #expect(error.description.contains("Missing (1): pos_embed."))
  }

  @Test func `a name is given once`() throws {
    var weights = try weights("norm.weight")
    let error = try thrown(LoadError.self) { try weights.set("norm.weight", try Tensor(5.0), from: ["other"]) }
    #expect(error == .duplicate("norm.weight", ["file.norm.weight", "other"]))
    #expect(error.description == "'norm.weight' is there more than once, as file.norm.weight and other.")
    #expect(try weights.tensor("norm.weight").item() == 0)
  }

  @Test func `removing one leaves the others in their places`() throws {
    var weights = try weights("a", "b", "c")
    #expect(try weights.remove("a")?.item() == 0)
    #expect(weights.remove("a") == nil)
    #expect(weights.ordered.map(\.name) == ["b", "c"])
    #expect(try weights["c"]?.item() == 2)
    #expect(weights.sources["a"] == nil)
  }

  @Test func `blocks are sorted by number, after what stands outside them`() throws {
    let sorted = try weights("blocks.10.x", "pos_embed", "blocks.2.y", "blocks.2.x", "cls_token").sorted()
    #expect(sorted.ordered.map(\.name) == ["cls_token", "pos_embed", "blocks.2.x", "blocks.2.y", "blocks.10.x"])
    #expect(try sorted["blocks.10.x"]?.item() == 0)
    #expect(try sorted["cls_token"]?.item() == 4)
  }

  @Test func `a tensor takes a shape of the same count only`() throws {
    var weights = CanonicalWeights()
    try weights.set("cls_token", try Tensor([1, 2] as [Float]), from: ["cls"])
    try weights.reshape("cls_token", [1, 1, 2])
    #expect(weights["cls_token"]?.shape == [1, 1, 2])
    try weights.reshape("absent", [3])
    #expect(throws: LoadError.shape("cls_token", expected: [1, 1, 3], found: [1, 1, 2])) {
      try weights.reshape("cls_token", [1, 1, 3])
    }
  }

  @Test(arguments: SafetensorsDType.allCases)
  func `dtypes are the same in files and tensors`(_ dtype: SafetensorsDType) {
    #expect(SafetensorsDType(DType(dtype)) == dtype)
    #expect(DType(dtype).size == dtype.size)
  }

  @Test(arguments: SafetensorsDType.allCases)
  func `a tensor is written and read back bit for bit`(_ dtype: SafetensorsDType) throws {
    let tensor = try Tensor([0, 1, 3, 100, 2, 1], shape: [2, 3]).to(DType(dtype))
    let folder = try TemporaryFolder()
    let file = folder.url.appendingPathComponent("x.safetensors")
    var writer = SafetensorsWriter()
    try writer.add("turned", try tensor.transposed())
    try writer.write(to: file)
    let read = try SafetensorsFile(contentsOf: file).tensor("turned")
    #expect(read.shape == [3, 2])
    #expect(try read.isEqual(to: tensor.transposed()))
  }

  @Test func `a tensor outlives the file it shares memory with`() throws {
    let folder = try TemporaryFolder()
    let file = folder.url.appendingPathComponent("x.safetensors")
    var writer = SafetensorsWriter()
    try writer.add("x", try Tensor([1, 2, 3] as [Float]))
    try writer.write(to: file)
    let tensor = try SafetensorsFile(contentsOf: file).tensor("x")
    #expect(try tensor.floats() == [1, 2, 3])
  }
}
