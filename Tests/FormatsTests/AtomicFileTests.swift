import Foundation
import Testing

@testable import Formats

@Suite struct AtomicFileTests {
  private struct Interruption: Error {}

  @Test func `a file is written, and replaced`() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("x")
    try AtomicFile.write("first, and longer", to: url)
    try AtomicFile.write("second", to: url)
    #expect(try String(contentsOf: url, encoding: .utf8) == "second")
    #expect(try folder.names() == ["x"])
  }

  @Test func `a failure in the middle leaves the old file and nothing else`() throws {
    let folder = try TemporaryFolder()
    let url = try folder.file("x", "old".utf8)
    #expect(throws: Interruption.self) {
      try AtomicFile.write(to: url) { output in
        try Array("new".utf8).withUnsafeBytes { try output.append($0) }
        #expect(try folder.names().count == 2)
        throw Interruption()
      }
    }
    #expect(try String(contentsOf: url, encoding: .utf8) == "old")
    #expect(try folder.names() == ["x"])
  }

  @Test func `a folder in the way, and a folder that is missing, are errors`() throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("taken/x", [1])
    let taken = #expect(throws: FileError.self) {
      try AtomicFile.write("x", to: folder.url.appendingPathComponent("taken"))
    }
    #expect(taken?.operation == "replace")
    #expect(taken?.code == EISDIR)
    let missing = #expect(throws: FileError.self) {
      try AtomicFile.write("x", to: folder.url.appendingPathComponent("no/x"))
    }
    #expect(missing?.code == ENOENT)
    #expect(try folder.names() == ["taken"])
  }

  @Test func `leftovers of an earlier process with the same PID are stepped over`() throws {
    let folder = try TemporaryFolder()
    for number in 0..<400 { _ = try folder.file(".tmp-\(getpid())-\(number)", [9]) }
    let url = folder.url.appendingPathComponent("x")
    try AtomicFile.write("good", to: url)
    #expect(try String(contentsOf: url, encoding: .utf8) == "good")
    #expect(try Data(contentsOf: folder.url.appendingPathComponent(".tmp-\(getpid())-7")) == Data([9]))
  }
}

@Suite struct AtomicFolderTests {
  private struct Interruption: Error {}

  @Test func `a folder appears complete`() throws {
    let root = try TemporaryFolder()
    let final = root.url.appendingPathComponent("step-10")
    try AtomicFolder.write(to: final) { folder in
      #expect(folder.lastPathComponent.hasPrefix(".tmp-\(getpid())-"))
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent("inner"), withIntermediateDirectories: false)
      try Data([1]).write(to: folder.appendingPathComponent("inner/a"))
      #expect(!FileManager.default.fileExists(atPath: final.path))
    }
    #expect(try Data(contentsOf: final.appendingPathComponent("inner/a")) == Data([1]))
    #expect(try root.names() == ["step-10"])
  }

  @Test func `a failure leaves nothing`() throws {
    let root = try TemporaryFolder()
    #expect(throws: Interruption.self) {
      try AtomicFolder.write(to: root.url.appendingPathComponent("x")) { folder in
        try Data([1]).write(to: folder.appendingPathComponent("a"))
        throw Interruption()
      }
    }
    #expect(try root.names().isEmpty)
  }

  @Test func `a folder that is there is not replaced, whenever it came`() throws {
    let root = try TemporaryFolder()
    let kept = try root.file("x/kept", [7])
    let final = kept.deletingLastPathComponent()
    let before = #expect(throws: FileError.self) {
      try AtomicFolder.write(to: final) { _ in Issue.record("the work was done in vain") }
    }
    #expect(before?.code == EEXIST)
    let during = #expect(throws: FileError.self) {
      try AtomicFolder.write(to: root.url.appendingPathComponent("y")) { _ in _ = try root.file("y/kept", [8]) }
    }
    #expect(during?.code == EEXIST)
    #expect(try Data(contentsOf: kept) == Data([7]))
    #expect(try root.names() == ["x", "y"])
  }

  @Test func `leftovers of dead processes are removed, and of living ones kept`() throws {
    let root = try TemporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", "exit 0"]
    try process.run()
    process.waitUntilExit()
    let dead = ".tmp-\(process.processIdentifier)-3"
    _ = try root.file(dead + "/a", [1])
    let kept = [".tmp-\(getpid())-99999", ".tmp-x-1", ".tmp--1-1", ".tmp-0-1", "a", "step-1"].sorted()
    for name in kept { _ = try root.file(name, [1]) }
    #expect(try AtomicFolder.removeLeftovers(in: root.url) == [dead])
    #expect(try root.names() == kept)
  }
}
