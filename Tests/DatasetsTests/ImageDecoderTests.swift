import Foundation
import Testing

@testable import Datasets

@Suite struct ImageDecoderTests {
  struct Entry: Decodable {
    var file: String
    var width: Int?
    var height: Int?
  }

  @Test func `every sample file decodes to the pixels PIL gives`() throws {
    let expected = try Fixtures.tensors("images/expected.safetensors")
    try #require(expected.count > 30)
    for (name, tensor) in expected.sorted(by: { $0.key < $1.key }) {
      let image = try ImageDecoder().decode(contentsOf: Fixtures.path("images/\(name)"))
      #expect([image.height, image.width, 3] == tensor.shape, "\(name)")
      let worst = zip(image.pixels, tensor.bytes).map { abs(Int($0) - Int($1)) }.max()
      // Two builds of libjpeg-turbo or libwebp may round a conversion differently by one; PNG leaves nothing to round.
      #expect(try #require(worst) <= (name.hasPrefix("png") ? 0 : 1), "\(name): off by \(worst ?? -1)")
    }
  }

  @Test func `headers agree with the pixels`() throws {
    for entry in try Fixtures.json([Entry].self, "images/manifest.json") where !entry.file.hasPrefix("bad-") {
      let header = try ImageDecoder().header(contentsOf: Fixtures.path("images/\(entry.file)"))
      #expect(header.width == entry.width && header.height == entry.height, "\(entry.file)")
    }
  }

  @Test(arguments: [
    ("bad-jpeg-truncated.jpg", "is truncated"), ("bad-jpeg-header-only.jpg", "is truncated"),
    ("bad-jpeg-damaged-scan.jpg", "is damaged"), ("bad-jpeg-bomb.jpg", "65500 × 65500 pixels"),
    ("bad-png-truncated.png", "is truncated"), ("bad-png-crc.png", "is damaged"),
    ("bad-png-bomb.png", "100000 × 100000 pixels"), ("bad-png-empty-size.png", "is damaged"),
    ("bad-webp-truncated.webp", "is truncated"), ("bad-webp-bomb.webp", "16383 × 16383 pixels"),
    ("bad-empty.jpg", "is empty"), ("bad-text.jpg", "is not JPEG, PNG or WebP"), ("bad-gif.png", "is a GIF"),
  ])
  func `a bad file is refused with its name, the reason and a remedy`(name: String, reason: String) throws {
    let path = Fixtures.path("images/\(name)")
    let error = #expect(throws: ImageError.self) { try ImageDecoder().decode(contentsOf: path) }
    let text = try #require(error?.description)
    #expect(text.hasPrefix("'\(path)' ") && text.contains(reason), "\(text)")
    #expect(["remove", "Convert", "Store it"].contains { text.contains($0) }, "\(text) says what to do")
  }

  @Test func `no bad sample is left untried`() throws {
    let bad = try Fixtures.json([Entry].self, "images/manifest.json").filter { $0.file.hasPrefix("bad-") }
    #expect(bad.count == 13)
  }

  @Test func `the pixel limit holds before decoding and is exact`() throws {
    let path = Fixtures.path("images/png-rgb.png")  // 25 × 17
    #expect(try ImageDecoder(maximumPixels: 425).decode(contentsOf: path).width == 25)
    #expect(throws: ImageError.tooManyPixels(file: path, width: 25, height: 17, limit: 424)) {
      try ImageDecoder(maximumPixels: 424).decode(contentsOf: path)
    }
    #expect(throws: ImageError.tooManyPixels(file: path, width: 25, height: 17, limit: 424)) {
      try ImageDecoder(maximumPixels: 424).header(contentsOf: path)
    }
  }

  @Test func `the file limit is exact`() throws {
    let path = Fixtures.path("images/png-rgb.png")
    let bytes = try Fixtures.bytes("images/png-rgb.png").count
    #expect(try ImageDecoder(maximumFileBytes: bytes).decode(contentsOf: path).width == 25)
    #expect(throws: ImageError.fileTooLarge(file: path, bytes: bytes, limit: bytes - 1)) {
      try ImageDecoder(maximumFileBytes: bytes - 1).decode(contentsOf: path)
    }
  }

  @Test func `a missing file, a folder and a pipe are named, not waited for`() throws {
    let folder = try TemporaryFolder()
    try folder.makeFolder("folder.png")
    let pipe = folder.url.appending(path: "pipe.png").path
    try #require(mkfifo(pipe, 0o600) == 0)
    #expect(throws: ImageError.notAFile(file: pipe)) { try ImageDecoder().decode(contentsOf: pipe) }
    let inner = folder.url.appending(path: "folder.png").path
    #expect(throws: ImageError.notAFile(file: inner)) { try ImageDecoder().decode(contentsOf: inner) }
    let missing = folder.url.appending(path: "missing.png").path
    #expect(throws: ImageError.unreadable(file: missing, reason: "No such file or directory")) {
      try ImageDecoder().decode(contentsOf: missing)
    }
  }

  @Test func `a large JPEG is decoded smaller when little is needed, never below what is asked`() throws {
    let bytes = try Fixtures.bytes("images/jpeg-baseline.jpg")  // 25 × 17
    let decoder = ImageDecoder()
    func shorterSide(_ minimum: Int?) throws -> Int {
      try decoder.decode(bytes, named: "x", minimumSide: minimum).shorterSide
    }
    #expect(try shorterSide(nil) == 17)
    #expect(try shorterSide(9) == 17)
    #expect(try shorterSide(8) == 9)  // 17 / 2, rounded up
    #expect(try shorterSide(4) == 5)
    #expect(try shorterSide(2) == 3)
    #expect(try shorterSide(1) == 3)  // 1/8 is the least there is
    #expect(try shorterSide(-7) == 17)
    let half = try decoder.decode(bytes, named: "x", minimumSide: 8)
    let full = try decoder.decode(bytes, named: "x").resized(width: half.width, height: half.height)
    let difference = zip(half.pixels, full.pixels).map { abs(Int($0) - Int($1)) }.reduce(0, +) / half.pixels.count
    #expect(difference < 12, "the same picture, mean difference \(difference)")
  }

  @Test func `a header behind long metadata is found`() throws {
    let folder = try TemporaryFolder()
    let original = try Fixtures.bytes("images/jpeg-baseline.jpg")
    let comment: [UInt8] = [0xFF, 0xFE, 0xFF, 0xFF] + [UInt8](repeating: 0x20, count: 65_533)
    let path = try folder.write(Array(original[..<2]) + comment + comment + original[2...], "long.jpg")
    let header = try ImageDecoder().header(contentsOf: path)
    #expect(header.width == 25 && header.height == 17 && header.format == .jpeg)
    #expect(try ImageDecoder().decode(contentsOf: path) == ImageDecoder().decode(original, named: "x"))
  }

  @Test func `a progressive file of endless scans is refused`() throws {
    let bytes = try Fixtures.bytes("images/jpeg-progressive.jpg")
    // The first scan, which may be repeated; a refinement of it could not, since its length depends on what came before.
    let start = try #require(bytes.indices.dropLast().first { bytes[$0] == 0xFF && bytes[$0 + 1] == 0xDA })
    let end = try #require((start + 2..<bytes.count - 1).first { bytes[$0] == 0xFF && bytes[$0 + 1] != 0 })
    func file(scans: Int) -> [UInt8] {
      bytes[..<end] + (0..<scans).flatMap { _ in bytes[start..<end] } + bytes[end...]
    }
    #expect(try ImageDecoder().decode(file(scans: 100), named: "x").width == 25)
    #expect(throws: ImageError.unsupported(file: "x", detail: "more than 500 scans")) {
      try ImageDecoder().decode(file(scans: 600), named: "x")
    }
  }

  @Test func `every truncation of every sample is refused or harmless`() throws {
    // Cutting into metadata after the pixels may be harmless; whatever decodes must have all the pixels it had.
    for entry in try Fixtures.json([Entry].self, "images/manifest.json") where !entry.file.hasPrefix("bad-") {
      let bytes = try Fixtures.bytes("images/\(entry.file)")
      let whole = try ImageDecoder().decode(bytes, named: entry.file)
      for length in stride(from: 0, to: bytes.count, by: 7) {
        guard let image = try? ImageDecoder().decode(Array(bytes[..<length]), named: entry.file) else { continue }
        let same = image == whole || image.upright(from: .rightTop) == whole
        #expect(same, "\(entry.file) cut to \(length) of \(bytes.count) bytes")
      }
    }
  }

  @Test func `mutated files never trap, and decode within the limit`() throws {
    var generator = Xoshiro256(seed: 7)
    let names = try Fixtures.json([Entry].self, "images/manifest.json").map(\.file)
    let decoder = ImageDecoder(maximumPixels: 1 << 20)
    var decoded = 0
    var refused = 0
    for name in names {
      let original = try Fixtures.bytes("images/\(name)")
      for _ in 0..<60 {
        var bytes = original
        for _ in 0...generator.below(6) where !bytes.isEmpty {
          let place = generator.below(bytes.count)
          switch generator.below(4) {
          case 0: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
          case 1: bytes[place] ^= 1 << UInt8(generator.below(8))
          case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + generator.below(8)))
          default: bytes.insert([0, 0xFF, 0x7F, 0x80][generator.below(4)], at: place)
          }
        }
        do {
          let image = try decoder.decode(bytes, named: name, minimumSide: generator.below(20))
          #expect(image.width * image.height <= 1 << 20)
          decoded += 1
        } catch {
          #expect(error.file == name)
          refused += 1
        }
      }
    }
    #expect(decoded > 100 && refused > 100, "both happen: \(decoded) decoded, \(refused) refused")
  }
}
