import Crypto
import Formats
import Foundation

/// Writes a cache file image by image beside its final name, which it takes only when everything is on disk.
///
/// Not `AtomicFile`: images arrive from other tasks over minutes, so writing cannot be one synchronous call.
struct ImageCacheWriter: ~Copyable {
  private let destination: URL
  private let temporary: URL
  private let handle: FileHandle
  private var buffer = Data()
  private var index = Data()
  private var position: Int
  private var count = 0

  private static let bufferLength = 4 << 20

  /// - Throws: `FileError` if the folder cannot be made or written to.
  init(to destination: URL, fingerprint: [UInt8]) throws(FileError) {
    self.destination = destination
    let folder = destination.deletingLastPathComponent()
    // The name begins as those of `AtomicFile` do, so that what a killed process leaves is recognized by the same rule.
    let process = ProcessInfo.processInfo.processIdentifier
    temporary = folder.appendingPathComponent(".tmp-\(process)-\(UInt32.random(in: 0 ... .max))")
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      // A cache can be gigabytes: what a killed process left half made should not lie about. Failing to tidy is no error.
      _ = try? AtomicFolder.removeLeftovers(in: folder)
      try Data().write(to: temporary, options: .withoutOverwriting)
      handle = try FileHandle(forWritingTo: temporary)
    } catch {
      throw FileError("write", temporary.path, code: Self.code(of: error))
    }
    buffer.append(contentsOf: ImageCacheFile.magic)
    buffer.append(contentsOf: fingerprint)
    position = buffer.count
  }

  deinit {
    try? handle.close()
    try? FileManager.default.removeItem(at: temporary)
  }

  mutating func append(_ image: RGBImage) throws(FileError) {
    let checksum = image.pixels.withUnsafeBytes { XXH64.hash($0) }
    appendEntry(checksum: checksum, width: image.width, height: image.height, reason: "")
    buffer.append(contentsOf: image.pixels)
    position += image.pixels.count
    if buffer.count >= Self.bufferLength { try flush() }
  }

  mutating func appendBad(_ reason: String) {
    appendEntry(checksum: 0, width: 0, height: 0, reason: reason)
  }

  /// Writes index and tail, flushes to the disk, and takes the final name.
  consuming func commit() throws(FileError) {
    var tail = Data()
    Self.append(UInt64(position), to: &tail)
    Self.append(UInt64(index.count), to: &tail)
    Self.append(UInt64(count), to: &tail)
    tail.append(contentsOf: SHA256.hash(data: index))
    tail.append(contentsOf: ImageCacheFile.magic)
    buffer.append(index)
    buffer.append(tail)
    try flush()
    do {
      try handle.synchronize()
    } catch {
      throw FileError("write", temporary.path, code: Self.code(of: error))
    }
    guard rename(temporary.path, destination.path) == 0 else {
      throw FileError("replace", destination.path, code: errno)
    }
  }

  private mutating func appendEntry(checksum: UInt64, width: Int, height: Int, reason: String) {
    Self.append(UInt64(position), to: &index)
    Self.append(checksum, to: &index)
    // Sides were decoded from 32 bits, and reasons are sentences.
    Self.append(UInt32(clamping: width), to: &index)
    Self.append(UInt32(clamping: height), to: &index)
    Self.append(UInt32(clamping: reason.utf8.count), to: &index)
    index.append(contentsOf: reason.utf8)
    count += 1
  }

  private mutating func flush() throws(FileError) {
    do {
      try handle.write(contentsOf: buffer)
    } catch {
      throw FileError("write", temporary.path, code: Self.code(of: error))
    }
    buffer.removeAll(keepingCapacity: true)
  }

  private static func append<Number: FixedWidthInteger>(_ number: Number, to data: inout Data) {
    withUnsafeBytes(of: number.littleEndian) { data.append(contentsOf: $0) }
  }

  /// The system's error number within what Foundation throws.
  private static func code(of error: any Error) -> Int32 {
    var cause = error as NSError
    while cause.domain != NSPOSIXErrorDomain, let inner = cause.userInfo[NSUnderlyingErrorKey] as? NSError {
      cause = inner
    }
    return cause.domain == NSPOSIXErrorDomain ? Int32(truncatingIfNeeded: cause.code) : EIO
  }
}
