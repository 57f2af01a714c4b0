import Formats

/// What is done to a text before it is split into words.
enum Normalizer: Equatable, Sendable {
  case bert(BERT)
  case lowercase
  case canonical(composed: Bool)
  case compatibility(composed: Bool)
  case stripAccents
  case strip(left: Bool, right: Bool)
  case replace([UInt32], by: [UInt32])
  case sequence([Normalizer])

  /// The cleaning of the BERT tokenizer, in this order.
  struct BERT: Equatable, Sendable {
    /// Removes control characters, makes all white space a space.
    var cleansText: Bool
    /// Puts spaces around the ideographs.
    var separatesIdeographs: Bool
    var stripsAccents: Bool
    var lowercases: Bool
  }

  func normalize(_ text: inout AlignedText, _ scratch: inout NormalizerScratch) {
    switch self {
    case .bert(let steps):
      if !text.contains(where: { $0.scalar >= 0x80 }) { return steps.normalizeASCII(&text) }
      if steps.cleansText { clean(&text) }
      if steps.separatesIdeographs { separateIdeographs(&text, &scratch) }
      if steps.stripsAccents {
        decompose(&text, .canonical, composed: false, &scratch)
        text.removeAll { ScalarClass.of($0.scalar).contains(.accent) }
      }
      if steps.lowercases { lowercase(&text, &scratch) }
    case .lowercase: lowercase(&text, &scratch)
    case .canonical(let composed): decompose(&text, .canonical, composed: composed, &scratch)
    case .compatibility(let composed): decompose(&text, .compatibility, composed: composed, &scratch)
    case .stripAccents: text.removeAll { ScalarClass.of($0.scalar).contains(.mark) }
    case .strip(let left, let right):
      let isWhiteSpace = { (item: AlignedScalar) in ScalarClass.of(item.scalar).contains(.whiteSpace) }
      if right { text.removeLast(text.reversed().prefix(while: isWhiteSpace).count) }
      if left { text.removeFirst(text.prefix(while: isWhiteSpace).count) }
    case .replace(let pattern, let content): replace(pattern, content, &text, &scratch)
    case .sequence(let normalizers):
      for normalizer in normalizers { normalizer.normalize(&text, &scratch) }
    }
  }

  private func clean(_ text: inout AlignedText) {
    var kept = 0
    for index in text.indices {
      let classes = ScalarClass.of(text[index].scalar)
      if classes.contains(.removed) { continue }
      text[kept] = text[index]
      if classes.contains(.whiteSpace) { text[kept].scalar = 0x20 }
      kept += 1
    }
    text.removeLast(text.count - kept)
  }

  private func separateIdeographs(_ text: inout AlignedText, _ scratch: inout NormalizerScratch) {
    guard text.contains(where: { ScalarClass.of($0.scalar).contains(.ideograph) }) else { return }
    scratch.text.removeAll(keepingCapacity: true)
    for item in text {
      let isIdeograph = ScalarClass.of(item.scalar).contains(.ideograph)
      if isIdeograph { scratch.text.append(AlignedScalar(0x20, from: item)) }
      scratch.text.append(item)
      if isIdeograph { scratch.text.append(AlignedScalar(0x20, from: item)) }
    }
    swap(&text, &scratch.text)
  }

  private func lowercase(_ text: inout AlignedText, _ scratch: inout NormalizerScratch) {
    scratch.text.removeAll(keepingCapacity: true)
    for item in text {
      guard ScalarClass.of(item.scalar).contains(.changesInLowercase), let scalar = Unicode.Scalar(item.scalar) else {
        scratch.text.append(item)
        continue
      }
      for lower in scalar.properties.lowercaseMapping.unicodeScalars {
        scratch.text.append(AlignedScalar(lower.value, from: item))
      }
    }
    swap(&text, &scratch.text)
  }

  private func decompose(
    _ text: inout AlignedText, _ decomposition: CanonicalForms.Decomposition, composed: Bool,
    _ scratch: inout NormalizerScratch
  ) {
    // Nothing below U+00A0 decomposes, composes with its neighbour, or moves.
    guard text.contains(where: { $0.scalar >= 0xA0 }) else { return }
    CanonicalForms.decompose(text, decomposition, into: &scratch.changed)
    if composed { CanonicalForms.compose(&scratch.changed) }
    text.transform(scratch.changed, spare: &scratch.text)
  }

  /// What replaces a match lies where the match's last scalar lay, all of it.
  private func replace(
    _ pattern: [UInt32], _ content: [UInt32], _ text: inout AlignedText, _ scratch: inout NormalizerScratch
  ) {
    guard let first = pattern.first, text.count >= pattern.count else { return }
    scratch.text.removeAll(keepingCapacity: true)
    var index = 0
    while index < text.count {
      let end = index + pattern.count
      if text[index].scalar == first, end <= text.count,
        text[index..<end].elementsEqual(pattern, by: { $0.scalar == $1 })
      {
        for scalar in content { scratch.text.append(AlignedScalar(scalar, from: text[end - 1])) }
        index = end
      } else {
        scratch.text.append(text[index])
        index += 1
      }
    }
    swap(&text, &scratch.text)
  }
}

/// Buffers that keep their capacity from one text to the next.
struct NormalizerScratch {
  var text: AlignedText = []
  var changed: [ChangedScalar] = []
}

extension Normalizer.BERT {
  /// All steps at once, where no scalar is an ideograph, carries an accent or has a longer lower case.
  fileprivate func normalizeASCII(_ text: inout AlignedText) {
    text.withUnsafeMutableBufferPointer { text in
      for index in text.indices where lowercases && (0x41...0x5A).contains(text[index].scalar) {
        text[index].scalar += 0x20
      }
    }
    guard cleansText, text.contains(where: { $0.scalar < 0x20 || $0.scalar == 0x7F }) else { return }
    text.removeAll { $0.scalar < 0x20 && ![0x09, 0x0A, 0x0D].contains($0.scalar) || $0.scalar == 0x7F }
    for index in text.indices where text[index].scalar < 0x20 { text[index].scalar = 0x20 }
  }
}

extension Normalizer {
  init(_ fields: FieldReader) throws {
    switch try fields.string("type") {
    case "BertNormalizer":
      let lowercases = try fields.bool("lowercase", or: true)
      self = .bert(
        BERT(
          cleansText: try fields.bool("clean_text", or: true),
          separatesIdeographs: try fields.bool("handle_chinese_chars", or: true),
          // Where the file leaves it open, accents go with the upper case.
          stripsAccents: try fields.optionalBool("strip_accents") ?? lowercases,
          lowercases: lowercases))
    case "Lowercase": self = .lowercase
    case "NFC": self = .canonical(composed: true)
    case "NFD": self = .canonical(composed: false)
    case "NFKC": self = .compatibility(composed: true)
    case "NFKD": self = .compatibility(composed: false)
    case "StripAccents": self = .stripAccents
    case "Strip":
      self = .strip(left: try fields.bool("strip_left", or: true), right: try fields.bool("strip_right", or: true))
    case "Replace":
      let pattern = try fields.object("pattern")
      self = .replace(try pattern.string("String").scalarValues, by: try fields.string("content").scalarValues)
      try pattern.finish()
    case "Sequence": self = .sequence(try fields.objects("normalizers").map { try Normalizer($0) })
    case let type:
      throw fields.unsupported(
        type, at: "type",
        supported: [
          "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Strip", "Replace", "Sequence",
        ])
    }
    try fields.finish()
  }
}

extension String {
  var scalarValues: [UInt32] { unicodeScalars.map(\.value) }
}
