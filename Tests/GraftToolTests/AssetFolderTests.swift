import Foundation
import Testing

@testable import GraftTool

@Suite struct AssetFolderTests {
  @Test func `a folder that is there is taken as it is`() throws {
    let folder = FileManager.default.temporaryDirectory
    let found = try AssetFolder.find(folder.path, .data, place: "--data")
    #expect(found.standardizedFileURL.path == folder.standardizedFileURL.path)
  }

  @Test func `a name that is nowhere tells how to fetch it`() {
    #expect(
      throws: ConfigurationError.value(
        place: "a.yaml:1:1",
        problem: """
          there is no folder of weights 'vit-none'. Give the path of a folder or run 'scripts/fetch vit-none' if it is \
          one of those that can be fetched.
          """)
    ) { try AssetFolder.find("vit-none", .models, place: "a.yaml:1:1") }
  }

  @Test(arguments: ["/nowhere/vit-s14", "./vit-none", "../vit-none"])
  func `a path that is nowhere is no name to fetch`(_ text: String) {
    #expect(
      throws: ConfigurationError.value(
        place: "--model", problem: "there is no folder of weights '\(text)'. Give the path of a folder.")
    ) { try AssetFolder.find(text, .models, place: "--model") }
  }

  @Test func `a tilde is the user's home`() {
    #expect(AssetFolder.path("~/x").path == NSHomeDirectory() + "/x")
  }
}
