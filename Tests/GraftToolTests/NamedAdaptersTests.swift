import Foundation
import Testing

@testable import GraftTool

@Suite struct NamedAdaptersTests {
  private func names(_ paths: String...) -> [String] { NamedAdapters.names(of: paths.map { URL(filePath: $0) }) }

  @Test func `an adapter is called after its folder, or after the run that it lies in`() {
    #expect(names("/none/books", "/none/dvd/adapter") == ["books", "dvd"])
  }

  @Test func `folders of one name are told apart by what is before it`() {
    #expect(names("/none/a/books", "/none/b/books/adapter", "/none/b/dvd") == ["a/books", "b/books", "b/dvd"])
  }

  @Test func `one adapter has one name`() { #expect(names("/none/books") == ["books"]) }
}
