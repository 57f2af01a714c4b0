import Foundation
import Testing

@testable import Formats

@Suite struct ContainedPathTests {
  private func reason(_ name: String, in folder: URL) -> ContainedPathError.Reason? {
    #expect(throws: ContainedPathError.self) { try ContainedPath.resolve(name, in: folder) }?.reason
  }

  @Test func `names inside the folder are resolved, there or not`() throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("a/b.bin", [1])
    #expect(try ContainedPath.resolve("a/b.bin", in: folder.url).path == folder.url.path + "/a/b.bin")
    #expect(try ContainedPath.resolve("not yet..é", in: folder.url).path == folder.url.path + "/not yet..é")
  }

  @Test(
    arguments: [
      ("", .empty), ("..", .parentFolder), ("a/../b", .parentFolder), ("/a", .absolute), ("a\0b", .controlCharacter),
      ("a\nb", .controlCharacter), ("..\\a", .backslash), ("a//b", .emptyComponent), ("a/", .emptyComponent),
      ("./a", .emptyComponent), (String(repeating: "a", count: 256), .tooLong),
      (String(repeating: "a/", count: 600), .tooLong),
    ] as [(String, ContainedPathError.Reason)])
  func `names that lead out, or hide something, are refused`(name: String, reason: ContainedPathError.Reason) throws {
    let folder = try TemporaryFolder()
    #expect(self.reason(name, in: folder.url) == reason)
  }

  @Test func `links are followed inside the folder only`() throws {
    let folder = try TemporaryFolder()
    let beside = try TemporaryFolder()
    _ = try folder.file("real", [1])
    _ = try beside.file("secret", [1])
    func link(_ name: String, to target: String) throws {
      try FileManager.default.createSymbolicLink(
        atPath: folder.url.appendingPathComponent(name).path, withDestinationPath: target)
    }
    try link("inside", to: "real")
    try link("outside", to: beside.url.path + "/secret")
    try link("folder", to: beside.url.path)
    try link("dangling", to: "/nonexistent/x")
    _ = try ContainedPath.resolve("inside", in: folder.url)
    #expect(reason("outside", in: folder.url) != nil)
    #expect(reason("folder/secret", in: folder.url) != nil)
    #expect(reason("dangling", in: folder.url) == .linkOutside("nothing"))
  }

  @Test func `a folder whose name begins with the root's is outside`() throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("root/x", [1])
    _ = try folder.file("root-2/secret", [1])
    let root = folder.url.appendingPathComponent("root")
    try FileManager.default.createSymbolicLink(
      atPath: root.path + "/link", withDestinationPath: "../root-2/secret")
    #expect(reason("link", in: root) != nil)
  }

  @Test func `a snapshot of the Hugging Face cache may link to the blobs of its repository`() throws {
    let cache = try TemporaryFolder()
    _ = try cache.file("models--o--n/blobs/abc", [1])
    _ = try cache.file("models--o--n/snapshots/rev/config.json", [1])
    _ = try cache.file("models--o--other/blobs/abc", [1])
    let snapshot = cache.url.appendingPathComponent("models--o--n/snapshots/rev")
    for (name, target) in [("good", "../../blobs/abc"), ("bad", "../../../models--o--other/blobs/abc")] {
      try FileManager.default.createSymbolicLink(
        atPath: snapshot.appendingPathComponent(name).path, withDestinationPath: target)
    }
    _ = try ContainedPath.resolve("good", in: snapshot)
    #expect(reason("bad", in: snapshot) != nil)
  }
}
