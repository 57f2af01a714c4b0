import Foundation

/// Writes small PNG files of one colour and some noise: enough for a folder of images that can be told apart.
enum PNGFixture {
  /// An image of `size` × `size`, its pixels around `color`, as the bytes of a PNG file without compression.
  static func bytes(size: Int, color: (UInt8, UInt8, UInt8), seed: UInt64) -> Data {
    var state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1
    var rows = Data()
    for _ in 0..<size {
      rows.append(0)
      for _ in 0..<size {
        for channel in [color.0, color.1, color.2] {
          state ^= state << 13
          state ^= state >> 7
          state ^= state << 17
          rows.append(UInt8(clamping: Int(channel) + Int(state % 41) - 20))
        }
      }
    }
    let length = UInt16(rows.count)
    var stream = Data([0x78, 0x01, 1])
    stream.append(contentsOf: [UInt8(length & 255), UInt8(length >> 8), UInt8(~length & 255), UInt8(~length >> 8)])
    stream.append(rows)
    var (a, b): (UInt32, UInt32) = (1, 0)
    for byte in rows {
      a = (a + UInt32(byte)) % 65_521
      b = (b + a) % 65_521
    }
    stream.append(bigEndian(b << 16 | a))

    var file = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    let side = bigEndian(UInt32(size))
    file.append(chunk("IHDR", side + side + Data([8, 2, 0, 0, 0])))
    file.append(chunk("IDAT", stream))
    file.append(chunk("IEND", Data()))
    return file
  }

  /// `root/domain/class/image`, two classes by colour in three domains by brightness, `count` images of each.
  static func folder(at root: URL, count: Int, size: Int = 16) throws {
    for (shade, domain) in ["bright", "dark", "plain"].enumerated() {
      for (hue, name) in ["blue", "red"].enumerated() {
        let folder = root.appendingPathComponent("\(domain)/\(name)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let base = UInt8(40 + 40 * shade)
        let color = hue == 0 ? (base, base, base + 90) : (base + 90, base, base)
        for number in 0..<count {
          let seed = UInt64(shade * 1_000 + hue * 100 + number + 1)
          try bytes(size: size, color: color, seed: seed).write(to: folder.appendingPathComponent("\(number).png"))
        }
      }
    }
  }

  private static func chunk(_ type: String, _ data: Data) -> Data {
    let body = Data(type.utf8) + data
    var crc: UInt32 = 0xFFFF_FFFF
    for byte in body {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return bigEndian(UInt32(data.count)) + body + bigEndian(~crc)
  }

  private static func bigEndian(_ number: UInt32) -> Data { withUnsafeBytes(of: number.bigEndian) { Data($0) } }
}
