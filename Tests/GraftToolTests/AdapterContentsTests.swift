import Graft
import Testing

@testable import GraftTool

@Suite struct AdapterContentsTests {
  @Test func `of a long list of names the count and the first are shown`() throws {
    let names = (0..<13).map { JSONValue.string("blocks.\($0)") }
    #expect(try AdapterContents.text(of: .array(names)) == #"13, "blocks.0", "blocks.1", "blocks.2", …"#)
    #expect(try AdapterContents.text(of: ["qkv", "proj"]) == #"["qkv","proj"]"#)
    #expect(try AdapterContents.text(of: 8) == "8")
  }
}
