import Formats
import Foundation

extension FileError {
  /// What Foundation threw, as the system's own error: its texts say little on Linux, its codes differ by platform.
  init(_ operation: String, _ path: String, wrapping error: any Error) {
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
    let code: Int32 =
      if let underlying, underlying.domain == NSPOSIXErrorDomain {
        Int32(clamping: underlying.code)
      } else {
        switch (error as? CocoaError)?.code {
        case .fileNoSuchFile, .fileReadNoSuchFile: ENOENT
        case .fileReadNoPermission, .fileWriteNoPermission: EACCES
        case .fileWriteFileExists: EEXIST
        case .fileWriteOutOfSpace: ENOSPC
        case .fileWriteVolumeReadOnly: EROFS
        default: EIO
        }
      }
    self.init(operation, path, code: code)
  }
}
