import Foundation
import Testing

@testable import Formats

@Suite struct FileDigestTests {
  @Test func `digests are those of FIPS 180-4`() throws {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    #expect(FileDigest.sha256(of: Data("abc".utf8)) == abc)
    let folder = try TemporaryFolder()
    #expect(try FileDigest.sha256(of: folder.file("abc", "abc".utf8)) == abc)
    // The standard's long message: a million times 'a', less than a piece; three million is more than two.
    let million = try folder.file("million", [UInt8](repeating: 0x61, count: 1_000_000))
    #expect(
      try FileDigest.sha256(of: million) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    let three = Data(repeating: 0x61, count: 3_000_000)
    #expect(try FileDigest.sha256(of: folder.file("three", three)) == FileDigest.sha256(of: three))
    #expect(
      try FileDigest.sha256(of: folder.file("empty", []))
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }
}

@Suite struct ManifestTests {
  private func checkpoint() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    _ = try folder.file("adapter.safetensors", "abc".utf8)
    _ = try folder.file("state/optimizer.safetensors", [1, 2, 3, 4])
    try Manifest(describing: folder.url, step: 40, configuration: "f00d").write(in: folder.url)
    return folder
  }

  @Test func `a manifest says size and digest of every file, step and configuration`() throws {
    let folder = try checkpoint()
    let manifest = try Manifest.verify(folder.url)
    #expect(manifest.step == 40)
    #expect(manifest.configuration == "f00d")
    #expect(Set(manifest.files.keys) == ["adapter.safetensors", "state/optimizer.safetensors"])
    #expect(
      manifest.files["adapter.safetensors"]
        == .init(size: 3, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
    // Describing the folder again leaves the manifest itself out, and gives the same bytes.
    let url = folder.url.appendingPathComponent(Manifest.fileName)
    let first = try Data(contentsOf: url)
    try Manifest(describing: folder.url, step: 40, configuration: "f00d").write(in: folder.url)
    #expect(try Data(contentsOf: url) == first)
  }

  @Test func `missing, resized and altered files are all named`() throws {
    let folder = try checkpoint()
    _ = try folder.file("b", [1, 2])
    try Manifest(describing: folder.url, step: 1, configuration: "").write(in: folder.url)
    try FileManager.default.removeItem(at: folder.url.appendingPathComponent("b"))
    _ = try folder.file("adapter.safetensors", "abd".utf8)
    _ = try folder.file("state/optimizer.safetensors", [1, 2, 3])
    let error = #expect(throws: ManifestError.self) { try Manifest.verify(folder.url) }
    var differences = ManifestError.Differences()
    differences.missing = ["b"]
    differences.resized = [.init(path: "state/optimizer.safetensors", expected: 4, found: 3)]
    differences.altered = ["adapter.safetensors"]
    #expect(error == .differs(folder.url.path, differences))
    #expect(
      error?.description.contains(
        "'b' is missing; 'state/optimizer.safetensors' has 3 bytes, not 4; 'adapter.safetensors' has other contents")
        == true)
  }

  @Test func `every single bit of a file counts`() throws {
    let folder = try checkpoint()
    for bit in 0..<24 {
      var bytes = Array("abc".utf8)
      bytes[bit / 8] ^= 1 << (bit % 8)
      _ = try folder.file("adapter.safetensors", bytes)
      #expect(throws: ManifestError.self) { try Manifest.verify(folder.url) }
    }
  }

  @Test func `a folder without a manifest was never completed`() throws {
    let folder = try TemporaryFolder()
    #expect(throws: ManifestError.absent(folder.url.path)) { try Manifest.verify(folder.url) }
  }

  @Test(arguments: [
    "{", "[]", "{}", #"{"version":2,"step":1,"configuration":"","files":{}}"#,
    #"{"version":1,"step":-1,"configuration":"","files":{}}"#, #"{"version":1,"step":1,"configuration":1,"files":{}}"#,
    #"{"version":1,"step":1,"configuration":"","files":[]}"#,
    #"{"version":1,"step":1,"configuration":"","files":{"a":{"size":1}}}"#,
    #"{"version":1,"step":1,"configuration":"","files":{"a":{"size":-1,"sha256":"0"}}}"#,
    #"{"version":1,"step":1,"configuration":"","files":{},"stpe":2}"#,
  ])
  func `a malformed manifest is refused`(text: String) throws {
    let folder = try TemporaryFolder()
    _ = try folder.file(Manifest.fileName, text.utf8)
    guard case .malformed = #expect(throws: ManifestError.self, performing: { try Manifest.verify(folder.url) }) else {
      Issue.record("another error")
      return
    }
  }

  @Test func `a manifest that names files outside its folder is refused`() throws {
    let folder = try TemporaryFolder()
    let digest = String(repeating: "0", count: 64)
    let text = #"{"version":1,"step":1,"configuration":"","files":{"../x":{"size":1,"sha256":"\#(digest)"}}}"#
    _ = try folder.file(Manifest.fileName, text.utf8)
    let error = #expect(throws: ManifestError.self) { try Manifest(in: folder.url) }
    #expect(error?.description.contains("it holds '..'") == true)
  }

  @Test func `a symbolic link is not pinned by a digest`() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createSymbolicLink(atPath: folder.url.path + "/link", withDestinationPath: "/etc/hosts")
    #expect(throws: ManifestError.notAFile(folder.url.path + "/link")) {
      try Manifest(describing: folder.url, step: 0, configuration: "")
    }
  }

  @Test func `a fingerprint depends on the values and not on the order of the keys`() throws {
    let one = try Manifest.fingerprint(of: ["rate": 0.001, "steps": 10])
    #expect(try Manifest.fingerprint(of: ["steps": 10, "rate": 0.001]) == one)
    #expect(try Manifest.fingerprint(of: ["steps": 11, "rate": 0.001]) != one)
  }
}
