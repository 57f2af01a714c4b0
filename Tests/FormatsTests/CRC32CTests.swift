import Testing

@testable import Formats

@Suite struct CRC32CTests {
  /// RFC 3720, appendix B.4, and the checksum's usual test value.
  @Test func `the values of the standard`() {
    #expect(CRC32C.checksum("123456789".utf8) == 0xE306_9283)
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum(0..<32 as Range<UInt8>) == 0x46DD_794E)
    #expect(CRC32C.checksum([]) == 0)
  }

  @Test func `the mask turns by 15 bits and adds`() {
    // 0xE3069283 turned right by 15 is 0x2507C60D.
    #expect(CRC32C.masked("123456789".utf8) == 0x2507_C60D &+ 0xA282_EAD8)
  }
}
