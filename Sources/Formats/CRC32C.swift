/// The checksum of Castagnoli, CRC-32C, as TFRecord files, iSCSI and ext4 have it: reflected polynomial 0x82F63B78.
public enum CRC32C {
  public static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var crc = ~UInt32(0)
    table.withUnsafeBufferPointer { table in
      for byte in bytes { crc = table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ crc >> 8 }
    }
    return ~crc
  }

  /// The checksum as TFRecord files store it: turned by 15 bits, plus a constant, so that the checksum of data that
  /// hold a checksum stays a good one.
  public static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
    let crc = checksum(bytes)
    return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
  }
}
