import Foundation
import Testing

@testable import Reports

@Suite struct PixelImageTests {
  @Test func `the checksums have their published check values`() {
    #expect(Checksums.crc32(Array("123456789".utf8)) == 0xCBF4_3926)
    #expect(Checksums.adler32(Array("Wikipedia".utf8)) == 0x11E6_0398)
  }

  @Test func `a PNG, byte for byte`() throws {
    let image = try PixelImage(width: 2, height: 1, pixels: [255, 0, 0, 0, 0, 255])
    // Put together in Python 3.11 with zlib.crc32 and zlib.adler32; zlib.decompress gives the scanline back.
    #expect(
      image.png.base64EncodedString()
        == "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAAEklEQVR4AQEHAPj/AP8AAAAA/wcAAf9VNrrHAAAAAElFTkSuQmCC")
  }

  @Test func `data of more than one block is split at 65,535 bytes`() throws {
    let image = try PixelImage(width: 200, height: 150, pixels: [UInt8](repeating: 7, count: 90_000))
    // Signature 8, IHDR 25, IDAT 12 + 2 + two blocks of 5 + 150 · 601 + 4, IEND 12.
    #expect(image.png.count == 8 + 25 + 12 + 2 + 10 + 90_150 + 4 + 12)
    let data = [UInt8](image.png)
    #expect(Array(data[41..<48]) == [0x78, 0x01, 0, 0xFF, 0xFF, 0, 0])
    let second = 48 + 65_535
    // 90,150 − 65,535 = 24,615 = 0x6027 bytes in the last block.
    #expect(Array(data[second..<second + 5]) == [1, 0x27, 0x60, 0xD8, 0x9F])
  }

  @Test func `a picture whose bytes do not fill it is refused`() {
    #expect(throws: DrawingError.pixelCount(5, expected: 6)) {
      try PixelImage(width: 2, height: 1, pixels: [1, 2, 3, 4, 5])
    }
    #expect(throws: DrawingError.imageSize(width: 0, height: 1)) { try PixelImage(width: 0, height: 1, pixels: []) }
    #expect(throws: DrawingError.imageSize(width: .max, height: .max)) {
      try PixelImage(width: .max, height: .max, pixels: [])
    }
  }
}
