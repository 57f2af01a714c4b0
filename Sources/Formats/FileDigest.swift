import Crypto
import Foundation

/// SHA-256 as 64 lower-case hexadecimal digits.
public enum FileDigest {
  /// Reads the file in pieces of 1 MiB; memory does not grow with its size.
  /// - Throws: `FileError`.
  public static func sha256(of url: URL) throws(FileError) -> String {
    try sizeAndSHA256(of: url).sha256
  }

  public static func sha256(of data: Data) -> String { hexadecimal(SHA256.hash(data: data)) }

  /// Size and digest of one and the same reading.
  static func sizeAndSHA256(of url: URL) throws(FileError) -> (size: Int, sha256: String) {
    let file = try FileDescriptor(opening: url.path, O_RDONLY | O_NONBLOCK, operation: "read")
    _ = try file.regularFileSize()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var hash = SHA256()
    var size = 0
    while true {
      let count = try file.read(into: buffer, at: size)
      hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      size += count
      if count < buffer.count { return (size, hexadecimal(hash.finalize())) }
    }
  }

  private static func hexadecimal(_ digest: SHA256Digest) -> String {
    digest.map { byte in
      let digits = String(byte, radix: 16)
      return byte < 16 ? "0" + digits : digits
    }.joined()
  }
}
