import Formats
import Foundation

/// The synonyms of WordNet, read from its database files `index.POS`, `data.POS` and `POS.exc`, of noun, verb, adj and
/// adv.
///
/// Miller 1995, "WordNet: A Lexical Database for English"; the files are described in its manual page wndb(5). An
/// index line is
///
///     lemma pos synsets pointers [symbol …] senses tagged offset [offset …]
///
/// and at a byte offset of the data file stands a synset, its number of words in hexadecimal:
///
///     offset file type words word id [word id …] …
public final class WordNet: Sendable {
  public enum PartOfSpeech: String, CaseIterable, Sendable {
    case noun, verb
    case adjective = "adj"
    case adverb = "adv"
  }

  private struct Part: Sendable {
    /// The synsets of a lemma, the commonest first.
    let synsets: [String: [Int]]
    let data: Data
    /// Irregular forms.
    let exceptions: [String: [String]]
  }

  private let parts: [PartOfSpeech: Part]

  /// - Throws: `FileError` for a file that cannot be read, `WordNetError` for one that is not WordNet's.
  public init(from folder: URL) throws {
    var parts: [PartOfSpeech: Part] = [:]
    for part in PartOfSpeech.allCases { parts[part] = try Self.read(part, in: folder) }
    self.parts = parts
  }

  /// The other words of every synset of the word, of all parts of speech: those of the commoner senses first, each
  /// once. Words of several parts, as `give_up`, are left out. An inflected form that has no entry is looked up by its
  /// base form; the synonyms are base forms.
  public func synonyms(of word: String) -> [String] {
    let lower = word.lowercased()
    var (found, seen) = ([String](), Set([lower]))
    for part in PartOfSpeech.allCases {
      for form in baseForms(of: lower, part) {
        seen.insert(form)
        for offset in parts[part]?.synsets[form] ?? [] {
          for synonym in words(at: offset, part) where seen.insert(synonym.lowercased()).inserted {
            found.append(synonym)
          }
        }
      }
    }
    guard let first = word.first, first.isUppercase else { return found }
    return found.map { $0.prefix(1).uppercased() + $0.dropFirst() }
  }

  /// The forms under which a word has an entry: itself, else what its irregular or regular ending comes from.
  private func baseForms(of word: String, _ part: PartOfSpeech) -> [String] {
    guard let entries = parts[part] else { return [] }
    if entries.synsets[word] != nil { return [word] }
    if let irregular = entries.exceptions[word] { return irregular }
    for (ending, base) in part.endings where word.hasSuffix(ending) {
      let form = word.dropLast(ending.count) + base
      if entries.synsets[String(form)] != nil { return [String(form)] }
    }
    return []
  }

  private func words(at offset: Int, _ part: PartOfSpeech) -> [String] {
    guard let data = parts[part]?.data, offset >= 0, offset < data.count else { return [] }
    let fields = data[(data.startIndex + offset)...].prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "|") }
      .split(separator: UInt8(ascii: " "), maxSplits: 4 + 2 * Self.mostWords)
    // It was looked at when the index was read.
    guard let count = Self.wordCount(at: offset, of: data), fields.count >= 4 + 2 * count else { return [] }
    return (0..<count).compactMap { index in
      // An adjective may say where it stands: `awash(p)`.
      let word = String(decoding: fields[4 + 2 * index].prefix { $0 != UInt8(ascii: "(") }, as: UTF8.self)
      return word.contains("_") ? nil : word
    }
  }

  /// Of two hexadecimal digits.
  private static let mostWords = 0xff

  /// How many words the synset at an offset has; nil where no synset begins.
  private static func wordCount(at offset: Int, of data: Data) -> Int? {
    data.withUnsafeBytes { bytes in
      let newline = UInt8(ascii: "\n")
      guard bytes.indices.contains(offset), offset == 0 || bytes[offset - 1] == newline else { return nil }
      var (place, spaces) = (offset, 0)
      while spaces < 3, place < bytes.count, bytes[place] != newline {
        if bytes[place] == UInt8(ascii: " ") { spaces += 1 }
        place += 1
      }
      guard spaces == 3, place + 2 < bytes.count, bytes[place + 2] == UInt8(ascii: " "),
        let count = Int(String(decoding: bytes[place..<place + 2], as: UTF8.self), radix: 16), count > 0
      else { return nil }
      return count
    }
  }

  private static func read(_ part: PartOfSpeech, in folder: URL) throws -> Part {
    func contents(_ name: String) throws -> Data {
      let url = folder.appendingPathComponent(name)
      do { return try Data(contentsOf: url, options: .mappedIfSafe) } catch {
        throw WordNetError.missing(name, folder: folder.path)
      }
    }
    let (newline, space) = (UInt8(ascii: "\n"), UInt8(ascii: " "))
    let index = "index.\(part.rawValue)"
    let (lines, data) = (try contents(index), try contents("data.\(part.rawValue)"))
    var synsets: [String: [Int]] = [:]
    for (number, line) in lines.split(separator: newline).enumerated() where line.first != space {
      let fields = line.split(separator: space)
      guard fields.count > 3, let count = Int(String(decoding: fields[2], as: UTF8.self)), count > 0,
        count <= fields.count
      else { throw WordNetError.line(number + 1, file: index) }
      let offsets = fields.suffix(count).compactMap { Int(String(decoding: $0, as: UTF8.self)) }
      guard offsets.count == count else { throw WordNetError.line(number + 1, file: index) }
      if let offset = offsets.first(where: { wordCount(at: $0, of: data) == nil }) {
        throw WordNetError.synset(offset, file: "data.\(part.rawValue)")
      }
      synsets[String(decoding: fields[0], as: UTF8.self)] = offsets
    }
    var exceptions: [String: [String]] = [:]
    for line in try contents("\(part.rawValue).exc").split(separator: newline) {
      let forms = line.split(separator: space).map { String(decoding: $0, as: UTF8.self) }
      if forms.count > 1 { exceptions[forms[0]] = Array(forms.dropFirst()) }
    }
    return Part(synsets: synsets, data: data, exceptions: exceptions)
  }
}

extension WordNet.PartOfSpeech {
  /// Endings and what they come from: the rules of detachment of morphy(7).
  fileprivate var endings: [(String, String)] {
    switch self {
    case .noun:
      [
        ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
        ("s", ""),
      ]
    case .verb:
      [("ies", "y"), ("es", "e"), ("es", ""), ("s", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")]
    case .adjective: [("er", ""), ("est", ""), ("er", "e"), ("est", "e")]
    case .adverb: []
    }
  }
}

public enum WordNetError: Error, Equatable, CustomStringConvertible {
  case missing(String, folder: String)
  case line(Int, file: String)
  case synset(Int, file: String)

  public var description: String {
    switch self {
    case .missing(let name, let folder):
      """
      '\(folder)' has no '\(name)' that can be read. Give the folder of WordNet's database files; \
      'scripts/fetch wordnet' fetches them.
      """
    case .line(let number, let file):
      "Line \(number) of '\(file)' is none of WordNet's index. Fetch the file anew."
    case .synset(let offset, let file):
      "'\(file)' has no synset at byte \(offset), where its index says one is. Fetch both files anew."
    }
  }
}
