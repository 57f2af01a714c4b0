import Foundation
import Testing

@testable import Formats

@Suite struct FileLockTests {
  @Test func `a second lock is refused, naming the holder, until the first is released`() throws {
    let folder = try TemporaryFolder()
    let first = try FileLock(folder: folder.url)
    let error = #expect(throws: FileLockError.self) { try FileLock(folder: folder.url) }
    #expect(error == FileLockError(folder: folder.url.path, holder: getpid()))
    #expect(error?.description.contains("in use by the process \(getpid())") == true)
    first.release()
    first.release()
    let second = try FileLock(folder: folder.url)
    #expect(throws: FileLockError.self) { try FileLock(folder: folder.url) }
    second.release()
  }

  @Test func `a lock ends with its object`() throws {
    let folder = try TemporaryFolder()
    do { _ = try FileLock(folder: folder.url) }
    _ = try FileLock(folder: folder.url)
  }

  @Test func `a lock file left behind by a killed process locks nothing`() throws {
    let folder = try TemporaryFolder()
    _ = try folder.file(FileLock.fileName, "999999999\n".utf8)
    let lock = try FileLock(folder: folder.url)
    let text = try String(contentsOf: folder.url.appendingPathComponent(FileLock.fileName), encoding: .utf8)
    #expect(text == "\(getpid())\n")
    lock.release()
  }

  @Test func `a lock file that is a link is not followed`() throws {
    let folder = try TemporaryFolder()
    let other = try folder.file("precious", [1, 2, 3])
    try FileManager.default.createSymbolicLink(
      at: folder.url.appendingPathComponent(FileLock.fileName), withDestinationURL: other)
    #expect(throws: FileError.self) { try FileLock(folder: folder.url) }
    #expect(try Data(contentsOf: other) == Data([1, 2, 3]))
  }

  @Test func `a folder that is not there is an error`() {
    let error = #expect(throws: FileError.self) { try FileLock(folder: URL(fileURLWithPath: "/nonexistent")) }
    #expect(error?.code == ENOENT)
  }
}
