/// Finds the orientation in the EXIF data of a JPEG, PNG or WebP file.
///
/// Orientation is the only entry read. Whatever is missing, damaged or out of range reads as `.topLeft`: wrong metadata is
/// no reason to refuse a good image. Every offset comes from the file, so every access goes through `Bytes`.
enum EXIF {
  static func orientation(in file: UnsafeRawBufferPointer, format: ImageHeader.Format) -> Orientation {
    let bytes = Bytes(file)
    let block =
      switch format {
      case .jpeg: jpegBlock(bytes)
      case .png: pngBlock(bytes)
      case .webp: webpBlock(bytes)
      }
    return block.flatMap(orientation(inTIFF:)) ?? .topLeft
  }

  /// APP1 segments stand between the start of the image and the first scan.
  private static func jpegBlock(_ file: Bytes) -> Bytes? {
    var position = 2
    while let mark = file.byte(position), mark == 0xFF, let kind = file.byte(position + 1) {
      if kind == 0xFF {  // a fill byte
        position += 1
        continue
      }
      if kind == 0xD9 || kind == 0xDA { return nil }  // end of image, start of scan
      if kind == 0x01 || (0xD0...0xD8).contains(kind) {  // markers without a length
        position += 2
        continue
      }
      guard let length = file.bigEndian16(position + 2), length >= 2 else { return nil }
      if kind == 0xE1, let body = file.slice(position + 4, count: length - 2), let tiff = body.afterEXIFPrefix {
        return tiff
      }
      position += 2 + length
    }
    return nil
  }

  private static func pngBlock(_ file: Bytes) -> Bytes? {
    var position = 8
    while let length = file.bigEndian32(position), let kind = file.bigEndian32(position + 4) {
      if kind == fourCC("eXIf") { return file.slice(position + 8, count: length) }
      if kind == fourCC("IEND") { return nil }
      position += 12 + length
    }
    return nil
  }

  private static func webpBlock(_ file: Bytes) -> Bytes? {
    var position = 12
    while let kind = file.bigEndian32(position), let length = file.littleEndian32(position + 4) {
      if kind == fourCC("EXIF") {
        let body = file.slice(position + 8, count: length)
        // The container's specification wants bare TIFF; many writers keep JPEG's prefix.
        return body?.afterEXIFPrefix ?? body
      }
      position += 8 + length + length % 2
    }
    return nil
  }

  private static func orientation(inTIFF tiff: Bytes) -> Orientation? {
    let isLittleEndian: Bool
    switch tiff.bigEndian16(0) {
    case 0x4949: isLittleEndian = true
    case 0x4D4D: isLittleEndian = false
    default: return nil
    }
    func short(_ offset: Int) -> Int? { isLittleEndian ? tiff.littleEndian16(offset) : tiff.bigEndian16(offset) }
    func long(_ offset: Int) -> Int? { isLittleEndian ? tiff.littleEndian32(offset) : tiff.bigEndian32(offset) }
    guard short(2) == 42, let directory = long(4), let entries = short(directory) else { return nil }
    for entry in 0..<entries {
      let start = directory + 2 + entry * 12
      guard let tag = short(start) else { return nil }
      guard tag == 0x0112 else { continue }
      let type = short(start + 2)
      guard long(start + 4) == 1 else { return nil }
      // SHORT as the standard wants; LONG as some writers do.
      let value = type == 3 ? short(start + 8) : type == 4 ? long(start + 8) : nil
      return value.flatMap(Orientation.init(rawValue:))
    }
    return nil
  }

  private static func fourCC(_ text: StaticString) -> Int {
    text.withUTF8Buffer { $0.reduce(0) { $0 << 8 | Int($1) } }
  }
}

/// Bounds-checked reads. No value exceeds 32 bits, so sums of a few of them cannot overflow `Int`.
private struct Bytes {
  private let storage: UnsafeRawBufferPointer

  init(_ storage: UnsafeRawBufferPointer) { self.storage = storage }

  func byte(_ offset: Int) -> UInt8? {
    offset >= 0 && offset < storage.count ? storage[offset] : nil
  }

  func slice(_ offset: Int, count: Int) -> Bytes? {
    guard offset >= 0, count >= 0, offset <= storage.count, count <= storage.count - offset else { return nil }
    return Bytes(UnsafeRawBufferPointer(rebasing: storage[offset..<offset + count]))
  }

  func bigEndian16(_ offset: Int) -> Int? { integer(offset, 2).map { Int($0) } }
  func bigEndian32(_ offset: Int) -> Int? { integer(offset, 4).map { Int($0) } }
  func littleEndian16(_ offset: Int) -> Int? { integer(offset, 2).map { Int(UInt16($0).byteSwapped) } }
  func littleEndian32(_ offset: Int) -> Int? { integer(offset, 4).map { Int($0.byteSwapped) } }

  /// What follows JPEG's `Exif\0\0`, or `nil` without it.
  var afterEXIFPrefix: Bytes? {
    guard bigEndian32(0) == 0x4578_6966, bigEndian16(4) == 0 else { return nil }
    return slice(6, count: storage.count - 6)
  }

  private func integer(_ offset: Int, _ count: Int) -> UInt32? {
    guard offset >= 0, count <= storage.count, offset <= storage.count - count else { return nil }
    return storage[offset..<offset + count].reduce(0) { $0 << 8 | UInt32($1) }
  }
}
