import Graft
import Testing

@testable import GraftTool

@Suite struct MetaTestCommandTests {
  @Test func `the sizes of tasks are three whole numbers, or vary`() throws {
    #expect(try MetaTestCommand.sizes("5, 1,15") == ["ways": 5, "shots": 1, "queries": 15])
    #expect(try MetaTestCommand.sizes("varying") == [:])
  }

  @Test(arguments: ["5,a,1,15", "5,1", "5,1,15,2", "5,,1,15", "5,1,15,", "5,1.5,15", ""])
  func `anything else is refused`(text: String) {
    let error = #expect(throws: ConfigurationError.self) { try MetaTestCommand.sizes(text) }
    #expect(error?.description == "--tasks: '\(text)' is neither 'varying' nor three whole numbers, as in 5,1,15.")
  }
}
