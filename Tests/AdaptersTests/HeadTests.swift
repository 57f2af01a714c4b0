import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite struct HeadTests {
  @Test func `logits are x times the transposed weight plus the bias`() throws {
    let head = try Head(classes: ["cat", "dog"], features: 3, generator: Generator(seed: 1))
    try head.weight.load(Tensor([1, 0, 2, -1, 1, 0] as [Float], shape: [2, 3]))
    try head.bias.load(Tensor([10, 20] as [Float]))
    #expect(try head(Tensor([1, 2, 3] as [Float], shape: [1, 3])).floats() == [17, 21])
    #expect(head.parameters.map(\.name) == ["head.weight", "head.bias"])
  }

  @Test func `a fresh head is uniform on one over the root of the width`() throws {
    let classes = (0..<20).map { "class \($0)" }
    let head = try Head(classes: classes, features: 400, generator: Generator(seed: 1))
    for parameter in head.parameters { #expect(try parameter.value.abs().max().item() <= 0.05) }
    #expect(try abs(head.weight.value.variance().sqrt().item() / (0.05 / 3.0.squareRoot()) - 1) < 0.03)
    #expect([head.weight.decays, head.bias.decays] == [true, false])
    let again = try Head(classes: classes, features: 400, generator: Generator(seed: 1))
    #expect(try again.weight.value.isEqual(to: head.weight.value) && again.bias.value.isEqual(to: head.bias.value))
  }

  @Test(arguments: [(7, 5383), (5, 3845), (65, 49985), (10, 7690), (345, 265_305)])
  func `a head on ViT-B has 769 numbers for each class`(_ classes: Int, _ count: Int) throws {
    let head = try Head(classes: (0..<classes).map(String.init), features: 768, generator: Generator(seed: 1))
    #expect(head.parameters.reduce(0) { $0 + $1.count } == count)
  }

  @Test(arguments: [[], ["one"], ["a", "b", "a"]])
  func `fewer than two classes, or one name twice, are refused`(_ classes: [String]) throws {
    let error = try thrown(HeadError.self) {
      _ = try Head(classes: classes, features: 4, generator: Generator(seed: 1))
    }
    #expect(error == .classes(classes))
    #expect(
      error.description
        == "A classifier needs at least two classes of different names, not [\(classes.joined(separator: ", "))].")
  }

  @Test func `a head keeps its name and its labels with the adapter`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "head-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let backbone = try TinyBackbone()
    var model = try backbone.adapted(by: .lora(rank: 2))
    model.head = try Head("pets", classes: ["cat", "dog"], features: 12, generator: Generator(seed: 1))
    try model.save(to: folder)
    let head = try #require(try backbone.adapted(from: folder).head)
    #expect(head.name == "pets" && head.classes == ["cat", "dog"])
    #expect(try head.weight.value.isEqual(to: #require(model.head).weight.value))
  }

  @Test func `prototypes make a classifier by the cosine, saved and read as one`() throws {
    let prototypes = try Tensor([3, 4, 0, 2, 0, 0] as [Float], shape: [2, 3])
    let head = try Head(classes: ["yes", "no"], prototypes: prototypes)
    let features = try Tensor([6, 8, 0, 0, 0, 5, -1, 0, 0] as [Float], shape: [3, 3])
    let expected = try Tensor([10, 6, 0, 0, -6, -10] as [Float], shape: [3, 2])
    #expect(try head(features).isClose(to: expected, tolerance: 1e-5))
    // A feature of length 0 is no reason to divide by it.
    #expect(try head(Tensor.zeros([1, 3])).floats() == [0, 0])
    #expect(throws: HeadError.prototypes([2, 3], classes: 3)) {
      try Head(classes: ["a", "b", "c"], prototypes: prototypes)
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "head-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let backbone = try TinyBackbone()
    var model = try backbone.adapted(by: .lora(rank: 2))
    model.head = try Head(classes: ["yes", "no"], prototypes: .normal([2, 12], from: Generator(seed: 1)))
    try model.save(to: folder)
    let input = try Tensor.normal([2, 3, 12], from: Generator(seed: 2))
    let read = try backbone.adapted(from: folder)
    #expect(read.head?.normalizesFeatures == true)
    #expect(try read.logits(input).isEqual(to: model.logits(input)))
    // PEFT would multiply by features of any length.
    let error = #expect(throws: AdapterFolderError.self) {
      try model.save(to: folder.appending(path: "peft"), as: .peft)
    }
    #expect("\(try #require(error))".contains("Leave the head out"))
  }
}
