import Foundation

/// The normalization forms of Unicode 9, scalar by scalar with what becomes of each: the tables that `tokenizers` has.
enum CanonicalForms {
  enum Decomposition: Sendable { case canonical, compatibility }

  /// NFD or NFKD. The first scalar of a decomposition replaces, the others are added.
  static func decompose(_ text: AlignedText, _ decomposition: Decomposition, into changed: inout [ChangedScalar]) {
    changed.removeAll(keepingCapacity: true)
    let table = decomposition == .canonical ? Table.canonical : Table.compatibility
    // Canonical ordering: scalars that combine are put in the order of their class, up to the next that does not.
    var unordered = 0
    func order(_ changed: inout [ChangedScalar]) {
      let classes = changed[unordered...].map { ScalarClass.of($0.scalar).combiningClass }
      if classes.count > 1 {
        let run = zip(classes, changed[unordered...]).enumerated()
          .sorted { ($0.element.0, $0.offset) < ($1.element.0, $1.offset) }
        changed.replaceSubrange(unordered..., with: run.map(\.element.1))
      }
      unordered = changed.count
    }
    func append(_ scalar: UInt32, _ change: Int, _ changed: inout [ChangedScalar]) {
      let combines = scalar >= 0x300 && ScalarClass.of(scalar).combiningClass != 0
      if !combines, unordered < changed.count { order(&changed) }
      changed.append(ChangedScalar(scalar: scalar, change: change))
      if !combines { unordered = changed.count }
    }
    for item in text {
      if item.scalar < 0xA0 {
        append(item.scalar, 0, &changed)
      } else if Hangul.syllables.contains(item.scalar) {
        for (place, scalar) in Hangul.decompose(item.scalar).enumerated() { append(scalar, min(place, 1), &changed) }
      } else if let replacement = table[item.scalar] {
        for (place, scalar) in replacement.enumerated() { append(scalar, min(place, 1), &changed) }
      } else {
        append(item.scalar, 0, &changed)
      }
    }
    if unordered < changed.count { order(&changed) }
  }

  /// NFC of an NFD, or NFKC of an NFKD: a starter swallows each later scalar with which it composes, unless one of the
  /// same or a higher class stands between (Unicode standard, D117).
  static func compose(_ changed: inout [ChangedScalar]) {
    var composed: [ChangedScalar] = []
    composed.reserveCapacity(changed.count)
    var starter: Int?
    var lastClass: UInt8?
    for item in changed {
      let itemClass = ScalarClass.of(item.scalar).combiningClass
      guard let place = starter else {
        if itemClass == 0 { starter = composed.count }
        composed.append(item)
        continue
      }
      let isBlocked = lastClass.map { $0 >= itemClass } ?? false
      if !isBlocked, let whole = composition(composed[place].scalar, item.scalar) {
        composed[place] = ChangedScalar(scalar: whole, change: composed[place].change + item.change - 1)
        continue
      }
      if itemClass == 0 {
        starter = composed.count
        lastClass = nil
      } else {
        lastClass = itemClass
      }
      composed.append(item)
    }
    changed = composed
  }

  private static func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
    Hangul.compose(first, second) ?? compositions[UInt64(first) << 32 | UInt64(second)]
  }

  /// The primary composites by the pair they are made of.
  private static let compositions: [UInt64: UInt32] = {
    var whole: [[UInt32]: UInt32] = [:]
    let composites = Table.canonical.scalars.filter {
      Unicode.Scalar($0)?.properties.isFullCompositionExclusion == false
    }
    for scalar in composites { whole[Table.canonical[scalar].map(Array.init) ?? []] = scalar }
    var pairs: [UInt64: UInt32] = [:]
    for (parts, scalar) in whole {
      // The tables hold full decompositions; the pair is the composite of all parts but the last, and the last.
      guard let last = parts.last, parts.count > 1 else { continue }
      let head = Array(parts.dropLast())
      guard let first = head.count == 1 ? head[0] : whole[head] else { continue }
      pairs[UInt64(first) << 32 | UInt64(last)] = scalar
    }
    return pairs
  }()
}

extension CanonicalForms {
  /// Full decompositions, by page of 256 scalars.
  private struct Table: Sendable {
    private(set) var scalars: [UInt32] = []
    private var pages = [Int16](repeating: -1, count: 0x1100)
    private var ranges: [Range<Int32>] = []
    private var pool: [UInt32] = []

    static let canonical = Table(canonicalPages) { $0.decomposedStringWithCanonicalMapping }
    static let compatibility = Table(compatibilityPages) { $0.decomposedStringWithCompatibilityMapping }

    /// The pages in which something decomposes; no later version of Unicode may add to the characters of an old one.
    private static let canonicalPages: [ClosedRange<UInt32>] = [
      0x00...0x04, 0x06...0x06, 0x09...0x0D, 0x0F...0x10, 0x1B...0x1B, 0x1E...0x23, 0x2A...0x2A, 0x30...0x30,
      0xF9...0xFB, 0x110...0x111, 0x113...0x115, 0x1D1...0x1D1, 0x2F8...0x2FA,
    ]
    private static let compatibilityPages: [ClosedRange<UInt32>] = [
      0x00...0x06, 0x09...0x10, 0x1B...0x1B, 0x1D...0x24, 0x2A...0x2A, 0x2C...0x33, 0xA6...0xA7, 0xAB...0xAB,
      0xF9...0xFF, 0x110...0x111, 0x113...0x115, 0x1D1...0x1D1, 0x1D4...0x1D7, 0x1EE...0x1EE, 0x1F1...0x1F2,
      0x2F8...0x2FA,
    ]

    init(_ pages: [ClosedRange<UInt32>], decomposing: (String) -> String) {
      for page in pages.joined() {
        self.pages[Int(page)] = Int16(ranges.count >> 8)
        for value in page << 8..<(page + 1) << 8 {
          let start = Int32(pool.count)
          if let scalar = Unicode.Scalar(value), (scalar.properties.age?.major ?? .max) <= 9 {
            let decomposed = decomposing(String(scalar)).unicodeScalars
            if !decomposed.elementsEqual(CollectionOfOne(scalar)) {
              scalars.append(value)
              pool += decomposed.map(\.value)
            }
          }
          ranges.append(start..<Int32(pool.count))
        }
      }
    }

    subscript(scalar: UInt32) -> ArraySlice<UInt32>? {
      let page = pages[Int(scalar >> 8)]
      guard page >= 0 else { return nil }
      let range = ranges[Int(page) << 8 | Int(scalar & 0xFF)]
      return range.isEmpty ? nil : pool[Int(range.lowerBound)..<Int(range.upperBound)]
    }
  }

  /// The syllables of Korean, composed by arithmetic (Unicode standard, section 3.12).
  private enum Hangul {
    static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
    private static let leading: UInt32 = 0x1100
    private static let vowel: UInt32 = 0x1161
    private static let trailing: UInt32 = 0x11A7

    static func decompose(_ syllable: UInt32) -> [UInt32] {
      let index = syllable - syllables.lowerBound
      let parts = [leading + index / 588, vowel + index % 588 / 28]
      return index % 28 == 0 ? parts : parts + [trailing + index % 28]
    }

    static func compose(_ first: UInt32, _ second: UInt32) -> UInt32? {
      if (leading..<leading + 19).contains(first), (vowel..<vowel + 21).contains(second) {
        return syllables.lowerBound + ((first - leading) * 21 + second - vowel) * 28
      }
      if syllables.contains(first), (first - syllables.lowerBound) % 28 == 0,
        (trailing + 1..<trailing + 28).contains(second)
      {
        return first + second - trailing
      }
      return nil
    }
  }
}
