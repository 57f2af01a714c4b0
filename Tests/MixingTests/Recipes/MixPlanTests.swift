import Adapters
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

@Suite final class MixPlanTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: "graft-plan-\(UUID().uuidString)")
  private let backbone: MixingBackbone

  init() throws {
    backbone = try MixingBackbone()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  private func save(_ name: String, rank: Int = 2, on other: MixingBackbone? = nil) throws -> MixRecipe.Source {
    let model = try (other ?? backbone).adapted(by: LoRA(rank: rank), at: [.fc1], seed: 1)
    try model.adapter.perturb(seed: UInt64(rank))
    try model.save(to: folder.appending(path: name))
    return MixRecipe.Source(name, at: folder.appending(path: name))
  }

  private func recipe(_ sources: [MixRecipe.Source], _ method: String = "ties") -> MixRecipe {
    MixRecipe(sources, by: MixSchedule(method: method, shared: [:]))
  }

  @Test func `a plan of saved adapters is carried out, with digests in the provenance`() throws {
    let plan = try MixPlan(recipe([save("a", rank: 1), save("b")], "uniform"))
    #expect(plan.sources.map(\.method) == ["LORA", "LORA"])
    let result = try plan.mix(onto: backbone).result()
    #expect(result.provenance.members.map(\.digest) == plan.sources.map { Optional($0.digest) })
    #expect(result.report.places.map(\.rank) == [3, 3])
  }

  @Test func `a mistyped method is told before a file is looked at`() throws {
    let nowhere = MixRecipe.Source("a", at: folder.appending(path: "nowhere"))
    #expect(throws: MixtureError.self) { try MixPlan(recipe([nowhere], "tise")) }
    #expect(throws: AdapterFolderError.self) { try MixPlan(recipe([nowhere])) }
  }

  @Test func `adapters of different networks are told apart by their headers`() throws {
    let sources = try [save("a"), save("b", on: MixingBackbone(seed: 2))]
    #expect(throws: MixtureError.otherBackbone("b", found: "miniature 2 2", expected: "miniature 2 1", of: "a")) {
      try MixPlan(recipe(sources))
    }
  }

  @Test func `factors of different shapes are told apart by their headers`() throws {
    var recipe = try recipe([save("a"), save("b", rank: 3)])
    recipe.space = .factors
    #expect(throws: MixingError.self) { try MixPlan(recipe) }
  }

  @Test func `names, heads and settings that do not exist are refused`() throws {
    let source = try save("a")
    #expect(throws: MixtureError.duplicate("a")) { try MixPlan(recipe([source, source])) }
    #expect(throws: MixtureError.empty) { try MixPlan(recipe([])) }
    var headed = recipe([source])
    headed.head = "b"
    #expect(throws: MixtureError.unknownMember("b", known: ["a"])) { try MixPlan(headed) }
    var gradient = recipe([source])
    gradient.schedule = MixSchedule(method: "ties", shared: ["density": .gradient([0.5, 1.5])])
    #expect(throws: MixtureError.self) { try MixPlan(gradient) }
  }

  @Test func `folders are named by what tells them apart`() {
    let folders = ["/runs/a/adapter", "/runs/b/adapter", "/x/one", "/y/one"].map { URL(fileURLWithPath: $0) }
    #expect(MixRecipe.sources(folders).map(\.name) == ["a", "b", "x/one", "y/one"])
  }

  @Test func `what a member cannot have for itself is told before a file is looked at`() throws {
    let nowhere = MixRecipe.Source("a", at: folder.appending(path: "nowhere"))
    var recipe = recipe([nowhere])
    recipe.schedule = MixSchedule(method: "ties", shared: [:], own: ["a": ["wieght": .value(0.5)]])
    #expect(throws: MixtureError.unknownSetting("wieght", of: "a", known: MixSchedule.perMember.sorted())) {
      try MixPlan(recipe)
    }
  }
}
