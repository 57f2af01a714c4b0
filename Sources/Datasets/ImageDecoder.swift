import CImageCodecs

/// Decodes JPEG, PNG and WebP, told apart by content, into upright 8-bit RGB.
///
/// What becomes of the unusual: alpha is composited on white; 16-bit channels keep their high byte; palettes and grey
/// become RGB; CMYK and YCCK are read inverted, as Adobe writes them, and converted without a colour profile; the first
/// frame of an animation stands for it; EXIF orientation is applied. Colour profiles are ignored, as in PIL's `convert`.
///
/// A truncated or damaged file is an error. Both limits are checked before memory is taken.
public struct ImageDecoder: Sendable, Hashable {
  /// The largest image that is decoded, in pixels as stored.
  public var maximumPixels: Int
  /// The largest file that is read, in bytes.
  public var maximumFileBytes: Int

  public init(maximumPixels: Int = 100_000_000, maximumFileBytes: Int = 256 << 20) {
    self.maximumPixels = maximumPixels
    self.maximumFileBytes = maximumFileBytes
  }

  /// The image in a file.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - minimumSide: where only a smaller image is needed, the shorter side to keep at least: a large JPEG is then decoded
  ///     at 1/2, 1/4 or 1/8 of its size, which is several times faster. The result may still be larger than this.
  public func decode(contentsOf path: String, minimumSide: Int? = nil) throws(ImageError) -> RGBImage {
    let contents = try FileBytes.read(path, limit: maximumFileBytes)
    return try decode(contents.bytes, named: path, minimumSide: minimumSide)
  }

  /// The image in `bytes`; `name` stands for the file in errors.
  public func decode(_ bytes: [UInt8], named name: String, minimumSide: Int? = nil) throws(ImageError) -> RGBImage {
    let plan = try plan(bytes, named: name, minimumSide: minimumSide)
    let capacity = plan.decodedWidth * plan.decodedHeight * 3
    var status = IMAGE_CODEC_OK
    var message = ImageCodecMessage()
    let pixels = bytes.withUnsafeBufferPointer { data in
      [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
        status = image_codec_decode(
          data.baseAddress, data.count, plan.minimumSide, buffer.baseAddress, capacity, &message)
        count = status == IMAGE_CODEC_OK ? capacity : 0
      }
    }
    try check(status, message, of: name, bytes: bytes.count, width: plan.decodedWidth, height: plan.decodedHeight)
    let stored = RGBImage(uncheckedWidth: plan.decodedWidth, height: plan.decodedHeight, pixels: pixels)
    return stored.upright(from: plan.header.orientation)
  }

  /// What a file says about itself. Reads its beginning only, so damage further on goes unnoticed.
  public func header(contentsOf path: String) throws(ImageError) -> ImageHeader {
    let start = try FileBytes.read(path, prefix: 64 << 10, limit: maximumFileBytes)
    do {
      return try header(start.bytes, named: path)
    } catch {
      guard case .truncated = error, start.bytes.count < start.fileSize else { throw error }
    }
    // Long metadata before the dimensions, most likely.
    return try header(FileBytes.read(path, limit: maximumFileBytes).bytes, named: path)
  }

  public func header(_ bytes: [UInt8], named name: String) throws(ImageError) -> ImageHeader {
    try plan(bytes, named: name, minimumSide: nil).header
  }

  private struct Plan {
    var header: ImageHeader
    var minimumSide: UInt32
    var decodedWidth: Int
    var decodedHeight: Int
  }

  private func plan(_ bytes: [UInt8], named name: String, minimumSide: Int?) throws(ImageError) -> Plan {
    guard !bytes.isEmpty else { throw .empty(file: name) }
    guard bytes.count <= maximumFileBytes else {
      throw .fileTooLarge(file: name, bytes: bytes.count, limit: maximumFileBytes)
    }
    let side = UInt32(clamping: max(0, minimumSide ?? 0))
    var found = ImageCodecHeader()
    var message = ImageCodecMessage()
    let status = bytes.withUnsafeBufferPointer {
      image_codec_header($0.baseAddress, $0.count, side, &found, &message)
    }
    let (width, height) = (Int(found.width), Int(found.height))
    guard status != IMAGE_CODEC_UNRECOGNIZED else {
      throw .unrecognized(file: name, looksLike: KnownFormat.name(of: bytes))
    }
    try check(status, message, of: name, bytes: bytes.count, width: width, height: height)
    // Both fit 32 bits, so the product fits 64.
    guard width * height <= maximumPixels else {
      throw .tooManyPixels(file: name, width: width, height: height, limit: maximumPixels)
    }
    let format: ImageHeader.Format =
      switch found.format {
      case IMAGE_CODEC_JPEG: .jpeg
      case IMAGE_CODEC_PNG: .png
      default: .webp
      }
    let orientation = bytes.withUnsafeBytes { EXIF.orientation(in: $0, format: format) }
    let header = ImageHeader(
      format: format,
      width: orientation.swapsSides ? height : width,
      height: orientation.swapsSides ? width : height,
      channels: Int(found.channels),
      bitsPerChannel: Int(found.bits_per_channel),
      hasAlpha: found.has_alpha,
      isAnimated: found.is_animated,
      orientation: orientation)
    return Plan(
      header: header, minimumSide: side, decodedWidth: Int(found.decoded_width),
      decodedHeight: Int(found.decoded_height))
  }

  private func check(
    _ status: ImageCodecStatus, _ message: ImageCodecMessage, of name: String, bytes: Int, width: Int, height: Int
  ) throws(ImageError) {
    switch status {
    case IMAGE_CODEC_OK: return
    case IMAGE_CODEC_TRUNCATED: throw .truncated(file: name, bytes: bytes)
    case IMAGE_CODEC_UNSUPPORTED: throw .unsupported(file: name, detail: message.string)
    case IMAGE_CODEC_OUT_OF_MEMORY: throw .outOfMemory(file: name, width: width, height: height)
    default: throw .corrupt(file: name, detail: message.string)
    }
  }
}

extension ImageCodecMessage {
  fileprivate var string: String {
    withUnsafeBytes(of: text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

/// Formats we do not read but can name, so that the error says what to convert from.
private enum KnownFormat {
  private static let signatures: [(name: String, offset: Int, bytes: String)] = [
    ("a GIF", 0, "GIF8"), ("a BMP", 0, "BM"), ("a TIFF", 0, "II*\0"), ("a TIFF", 0, "MM\0*"),
    ("an AVIF", 4, "ftypavif"), ("a HEIF", 4, "ftyphei"), ("a HEIF", 4, "ftypmif1"), ("a JPEG 2000", 4, "jP  "),
    ("an SVG", 0, "<svg"), ("an XML or SVG text", 0, "<?xml"), ("a web page", 0, "<!DOCTYPE"),
    ("a web page", 0, "<html"),
    ("a PDF", 0, "%PDF"), ("a Git LFS pointer (run `git lfs pull`)", 0, "version https://git-lfs"),
  ]

  static func name(of bytes: [UInt8]) -> String? {
    signatures.first { bytes.dropFirst($0.offset).starts(with: $0.bytes.utf8) }?.name
  }
}
