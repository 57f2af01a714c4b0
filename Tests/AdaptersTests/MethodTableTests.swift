import Foundation
import NeuralNetworks
import Testing

@testable import Adapters

@Suite struct MethodTableTests {
  @Test func `every method stands in the table, with what it costs`() throws {
    let table = try MethodTable(on: ShapesOnly(.vitBase16))
    #expect(table.rows.map(\.name) == adapterMethods.map { $0.method.lowercased() })
    #expect(table.parameterCount == 85_798_656)
    func row(_ name: String) throws -> MethodTable.Row { try #require(table.rows.first { $0.name == name }) }
    #expect(try row("ssf").parameters == 205_824)
    #expect(try abs(table.share(of: row("ssf")) - 0.002399) < 1e-6)
    #expect(try row("lora").place == "maps qkv")
    #expect(try row("ia3").place == "maps key, value, fc2")
    #expect(
      try row("ssf").place == "maps qkv, proj, fc1, fc2; weights and biases of patch_embed, norm1, norm2, norm")
    #expect(
      try row("bias").place == "biases of patch_embed, norm1, norm2, attn.qkv, attn.proj, mlp.fc1, mlp.fc2, norm")
    #expect(try row("mixture_of_adapters").place == "maps qkv; in blocks 0, 2, 4, 6, 8, 10")
    #expect(try row("last_blocks").place.hasSuffix("mlp.fc2, norm; in block 11"))
    #expect(try row("full").place == "every tensor")
    #expect(try row("linear_probe").place == "nowhere")
    #expect(try row("lora").obstacleToMerging == nil)
    #expect(try row("mixture_of_adapters").obstacleToMerging != nil)
  }

  @Test func `every method names its paper, but for the three that need none`() {
    let without = adapterMethods.filter { $0.paper == nil }.map { $0.method }
    #expect(without == ["LINEAR_PROBE", "FULL", "DELTA"])
  }

  @Test func `the documentation shows the table as it is`() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "docs/methods.md"), encoding: .utf8)
    let table = try MethodTable(on: ShapesOnly(.vitBase16)).markdown
    #expect(page.contains(table), "run graft methods --markdown, and put its table into docs/methods.md")
  }
}
