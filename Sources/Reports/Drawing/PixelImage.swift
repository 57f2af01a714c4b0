import Foundation

/// An 8-bit RGB picture, and its PNG file.
public struct PixelImage: Equatable, Sendable {
  public let width: Int
  public let height: Int
  /// Red, green, blue of each pixel, row by row from the top: `3 · width · height` bytes.
  public let pixels: [UInt8]

  /// - Throws: `DrawingError.pixelCount`, or `DrawingError.imageSize` for an empty or absurdly large picture.
  public init(width: Int, height: Int, pixels: [UInt8]) throws(DrawingError) {
    guard 1...Self.largestSide ~= width, 1...Self.largestSide ~= height else {
      throw .imageSize(width: width, height: height)
    }
    guard pixels.count == 3 * width * height else {
      throw .pixelCount(pixels.count, expected: 3 * width * height)
    }
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// A picture is embedded uncompressed, so larger ones would make a drawing that nobody can open.
  static let largestSide = 4096

  /// The picture as a PNG file (ISO/IEC 15948), its data stored rather than compressed: an encoder needs no more, and
  /// the pictures in a report are small.
  public var png: Data {
    var header = bigEndian(UInt32(width)) + bigEndian(UInt32(height))
    header += [8, 2, 0, 0, 0]  // bits per sample, RGB, deflate, adaptive filters, not interlaced

    var scanlines: [UInt8] = []
    scanlines.reserveCapacity(height * (1 + 3 * width))
    for row in 0..<height {
      scanlines.append(0)  // filter: none
      scanlines += pixels[row * 3 * width..<(row + 1) * 3 * width]
    }
    var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    file += chunk("IHDR", header) + chunk("IDAT", zlibStored(scanlines)) + chunk("IEND", [])
    return Data(file)
  }

  private func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
    let body = Array(type.utf8) + content
    return bigEndian(UInt32(content.count)) + body + bigEndian(Checksums.crc32(body))
  }

  /// A zlib stream (RFC 1950) of stored deflate blocks (RFC 1951, 3.2.4), each of at most 65,535 bytes.
  private func zlibStored(_ bytes: [UInt8]) -> [UInt8] {
    var stream: [UInt8] = [0x78, 0x01]
    var start = 0
    repeat {
      let end = min(start + 65_535, bytes.count)
      let length = UInt16(end - start)
      stream.append(end == bytes.count ? 1 : 0)
      for half in [length, ~length] { stream += [UInt8(half & 0xFF), UInt8(half >> 8)] }
      stream += bytes[start..<end]
      start = end
    } while start < bytes.count
    return stream + bigEndian(Checksums.adler32(bytes))
  }

  private func bigEndian(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}

/// The two checksums of a PNG file.
enum Checksums {
  /// CRC-32 with the reflected polynomial `0xEDB88320`.
  static func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { crc, byte in crcTable[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ (crc >> 8) }
  }

  private static let crcTable: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? 0xEDB8_8320 ^ (crc >> 1) : crc >> 1 }
  }

  /// Adler-32 (RFC 1950, 8.2).
  static func adler32(_ bytes: [UInt8]) -> UInt32 {
    var (a, b): (UInt32, UInt32) = (1, 0)
    for byte in bytes {
      a = (a + UInt32(byte)) % 65_521
      b = (b + a) % 65_521
    }
    return b << 16 | a
  }
}
