import Foundation

/// A call to the operating system that failed: which, on what, and why.
public struct FileError: Error, Equatable, CustomStringConvertible {
  /// What was tried, as a verb: `open`, `write`, `rename`.
  public var operation: String
  public var path: String
  /// The value of `errno`.
  public var code: Int32

  public init(_ operation: String, _ path: String, code: Int32) {
    self.operation = operation
    self.path = path
    self.code = code
  }

  public var description: String {
    "Cannot \(operation) '\(path)': \(String(cString: strerror(code))).\(remedy)"
  }

  private var remedy: String {
    switch code {
    case ENOSPC: " The disk is full: free space and run again; what was there before is untouched."
    case EDQUOT: " The quota is used up: free space and run again; what was there before is untouched."
    case EROFS: " The file system is read-only: choose another output folder."
    case EACCES, EPERM: " Check the permissions of the file and of its folder."
    case ENOENT: " Check the path."
    case EMFILE, ENFILE: " Too many files are open: raise the limit with `ulimit -n`."
    default: ""
    }
  }
}
