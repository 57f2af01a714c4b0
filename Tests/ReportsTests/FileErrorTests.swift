import Formats
import Foundation
import Testing

@testable import Reports

@Suite struct FileErrorTests {
  @Test(arguments: [
    (NSError(domain: NSCocoaErrorDomain, code: CocoaError.fileReadNoSuchFile.rawValue), ENOENT),
    (NSError(domain: NSCocoaErrorDomain, code: CocoaError.fileWriteOutOfSpace.rawValue), ENOSPC),
    (
      NSError(
        domain: NSCocoaErrorDomain, code: CocoaError.fileWriteUnknown.rawValue,
        userInfo: [NSUnderlyingErrorKey: NSError(domain: NSPOSIXErrorDomain, code: Int(EACCES))]), EACCES
    ),
    (NSError(domain: "elsewhere", code: 7), EIO),
  ])
  func `Foundation's errors keep the system's code`(error: NSError, code: Int32) {
    #expect(FileError("create", "/runs", wrapping: error) == FileError("create", "/runs", code: code))
  }

  @Test func `a run folder below a file is refused by name`() throws {
    try withTemporaryFolder { root in
      let file = root.appendingPathComponent("file")
      try Data().write(to: file)
      let folder = RunFolder(at: file.appendingPathComponent("run"))
      let error = #expect(throws: FileError.self) { try folder.create() }
      #expect(error?.path == folder.url.path)
      #expect(error?.operation == "create")
    }
  }
}
