import Testing

@testable import Datasets

@Suite struct EXIFTests {
  /// A TIFF block with one entry.
  private func block(
    littleEndian: Bool = true, tag: Int = 0x0112, type: Int = 3, count: Int = 1, value: Int, directory: Int = 8,
    entries: Int = 1
  ) -> [UInt8] {
    func bytes(_ number: Int, _ length: Int) -> [UInt8] {
      let big = (0..<length).map { UInt8(truncatingIfNeeded: number >> (8 * (length - 1 - $0))) }
      return littleEndian ? big.reversed() : big
    }
    let field = type == 3 ? bytes(value, 2) + [0, 0] : bytes(value, 4)
    return (littleEndian ? [0x49, 0x49] : [0x4D, 0x4D]) + bytes(42, 2) + bytes(directory, 4) + bytes(entries, 2)
      + bytes(tag, 2) + bytes(type, 2) + bytes(count, 4) + field
  }

  private func jpeg(_ block: [UInt8], before: [UInt8] = []) -> [UInt8] {
    let body = Array("Exif\0\0".utf8) + block
    return [0xFF, 0xD8] + before + [0xFF, 0xE1, UInt8((body.count + 2) >> 8), UInt8((body.count + 2) & 255)] + body
  }

  private func orientation(_ file: [UInt8], _ format: ImageHeader.Format = .jpeg) -> Orientation {
    file.withUnsafeBytes { EXIF.orientation(in: $0, format: format) }
  }

  @Test func `both byte orders and both number types are read`() {
    #expect(orientation(jpeg(block(value: 6))) == .rightTop)
    #expect(orientation(jpeg(block(littleEndian: false, value: 8))) == .leftBottom)
    #expect(orientation(jpeg(block(type: 4, value: 3))) == .bottomRight)
    #expect(orientation(jpeg(block(littleEndian: false, type: 4, value: 5))) == .leftTop)
  }

  @Test func `segments before the block and fill bytes are passed over`() {
    let other: [UInt8] = [0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xFF, 0xE1, 0, 6] + Array("http".utf8)
    #expect(orientation(jpeg(block(value: 7), before: other)) == .rightBottom)
  }

  @Test func `a block after the start of the scan does not count`() {
    #expect(orientation(jpeg(block(value: 6), before: [0xFF, 0xDA, 0, 2])) == .topLeft)
  }

  @Test(arguments: [0, 9, 65_535]) func `an orientation that does not exist reads as upright`(value: Int) {
    #expect(orientation(jpeg(block(value: value))) == .topLeft)
  }

  @Test func `wrong counts, types, offsets and lengths read as upright`() {
    #expect(orientation(jpeg(block(count: 2, value: 6))) == .topLeft)
    #expect(orientation(jpeg(block(type: 7, value: 6))) == .topLeft)
    #expect(orientation(jpeg(block(value: 6, directory: 0xFFFF_FFFF))) == .topLeft)
    #expect(orientation(jpeg(block(tag: 0x0100, value: 6, entries: 65_535))) == .topLeft)
    #expect(orientation([0xFF, 0xD8, 0xFF, 0xE1, 0, 0]) == .topLeft)
    #expect(orientation([0xFF, 0xD8, 0xFF, 0xE1, 0xFF, 0xFF] + Array("Exif\0\0II".utf8)) == .topLeft)
    let whole = jpeg(block(value: 6))
    for length in 0..<whole.count { #expect(orientation(Array(whole[..<length])) == .topLeft) }
  }

  @Test func `WebP's block is read with and without JPEG's prefix`() {
    for prefix in [[], Array("Exif\0\0".utf8)] {
      let body = prefix + block(value: 6)
      let chunk = Array("EXIF".utf8) + [UInt8(body.count), 0, 0, 0] + body
      let odd: [UInt8] = Array("ICCP".utf8) + [3, 0, 0, 0, 1, 2, 3, 0]  // padded to an even length
      #expect(orientation(Array("RIFF\0\0\0\0WEBP".utf8) + odd + chunk, .webp) == .rightTop)
    }
  }

  @Test func `a PNG chunk of the greatest length ends the search`() {
    let file: [UInt8] = [UInt8](repeating: 0, count: 8) + [0xFF, 0xFF, 0xFF, 0xFF] + Array("eXIf".utf8) + [0x49, 0x49]
    #expect(orientation(file, .png) == .topLeft)
  }
}
