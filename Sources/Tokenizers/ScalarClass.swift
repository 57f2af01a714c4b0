/// What a scalar counts as, to each of the steps that ask.
///
/// The `tokenizers` package has its answers from several libraries, each with the Unicode version of its own tables; a
/// scalar that is younger than these counts as unassigned there. Swift knows when each scalar was assigned, so the
/// version and the few characters that changed their category since are all that is needed to agree on every scalar:
///
/// | used by                         | Unicode | exceptions                                              |
/// |---------------------------------|---------|---------------------------------------------------------|
/// | BERT's clean text, punctuation  | 8       | U+166D, U+111C9 are punctuation                         |
/// | BERT's accents (category Mn)    | 8       | U+1734, U+1171E are; U+1885-6, U+A9BD, U+111C9 are not  |
/// | NFC … NFKD, StripAccents        | 9       | U+1CF2-3 are marks, U+111C9 is none                     |
/// | regular expressions             | 16      |                                                         |
/// | white space, case, digits       | newest  |                                                         |
struct ScalarClass: OptionSet {
  var rawValue: UInt32

  /// Removed where BERT cleans a text: control characters other than tab and line ends, U+FFFD.
  static let removed = ScalarClass(rawValue: 1 << 0)
  static let punctuation = ScalarClass(rawValue: 1 << 1)
  static let whiteSpace = ScalarClass(rawValue: 1 << 2)
  /// Category Mn: an accent to BERT.
  static let accent = ScalarClass(rawValue: 1 << 3)
  /// Categories Mn, Mc and Me: what the StripAccents normalizer removes.
  static let mark = ScalarClass(rawValue: 1 << 4)
  /// `\p{L}`
  static let letter = ScalarClass(rawValue: 1 << 5)
  /// `\p{N}`
  static let number = ScalarClass(rawValue: 1 << 6)
  /// `\w`
  static let word = ScalarClass(rawValue: 1 << 7)
  /// Numeric to the Digits pre-tokenizer: `\p{N}` of the newest Unicode.
  static let digit = ScalarClass(rawValue: 1 << 8)
  static let ideograph = ScalarClass(rawValue: 1 << 9)
  static let changesInLowercase = ScalarClass(rawValue: 1 << 10)

  /// The canonical combining class, 0 for what combines with nothing.
  var combiningClass: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 24) }
}

extension ScalarClass {
  /// The classes of the basic multilingual plane; the others are worked out when they are met.
  private static let basicPlane: [ScalarClass] = (0..<0x10000).map { ScalarClass(classifying: UInt32($0)) }

  @inline(__always)
  static func of(_ scalar: UInt32) -> ScalarClass {
    scalar < 0x10000 ? basicPlane[Int(scalar)] : ScalarClass(classifying: scalar)
  }

  private init(classifying value: UInt32) {
    self = []
    guard let scalar = Unicode.Scalar(value) else { return }
    let properties = scalar.properties
    let category = properties.generalCategory
    let age = properties.age?.major ?? .max

    if properties.isWhitespace { insert(.whiteSpace) }
    if Self.numbers.contains(category) { insert(.digit) }
    if properties.lowercaseMapping.unicodeScalars.first != scalar { insert(.changesInLowercase) }
    if Self.ideographs.contains(where: { $0.contains(value) }) { insert(.ideograph) }

    let isControl = category == .privateUse || age <= 8 && (category == .control || category == .format)
    if isControl && ![0x09, 0x0A, 0x0D].contains(value) || value == 0xFFFD { insert(.removed) }
    if age <= 8 {
      let isSymbol = value < 0x80 && [.mathSymbol, .currencySymbol, .modifierSymbol].contains(category)
      if Self.punctuationMarks.contains(category) || isSymbol { insert(.punctuation) }
      if category == .nonspacingMark { insert(.accent) }
    }
    switch value {
    case 0x166D: insert(.punctuation)
    case 0x111C9:
      insert(.punctuation)
      remove(.accent)
    case 0x1734, 0x1171E: insert(.accent)
    case 0x1885, 0x1886, 0xA9BD: remove(.accent)
    default: break
    }

    let isMark = Self.marks.contains(category)
    if age <= 9 {
      if isMark && value != 0x111C9 || value == 0x1CF2 || value == 0x1CF3 { insert(.mark) }
      rawValue |= UInt32(properties.canonicalCombiningClass.rawValue) << 24
    }
    if age <= 16 {
      if Self.letters.contains(category) { insert(.letter) }
      if Self.numbers.contains(category) { insert(.number) }
      let isJoiner = value == 0x200C || value == 0x200D
      if properties.isAlphabetic || isMark || isJoiner || category == .decimalNumber
        || category == .connectorPunctuation
      {
        insert(.word)
      }
    }
  }

  private typealias Categories = Set<Unicode.GeneralCategory>
  private static let letters: Categories = [
    .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
  ]
  private static let numbers: Categories = [.decimalNumber, .letterNumber, .otherNumber]
  private static let marks: Categories = [.nonspacingMark, .spacingMark, .enclosingMark]
  private static let punctuationMarks: Categories = [
    .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
    .finalPunctuation, .otherPunctuation,
  ]
  /// The blocks that BERT calls Chinese. Its reference has U+2B820 … U+2CEAF; `tokenizers` starts at U+2B920.
  private static let ideographs: [ClosedRange<UInt32>] = [
    0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2A6DF, 0x2A700...0x2B81F, 0x2B920...0x2CEAF,
    0x2F800...0x2FA1F,
  ]
}
