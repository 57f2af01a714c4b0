import Formats
import Foundation
import Testing

@testable import Tokenizers

/// Every scalar up to U+2FFFF through every step that asks what a scalar is; above there are no characters but the
/// private ones, tags and variation selectors.
@Suite struct ScalarClassTests {
  private static let scalars = (UInt32(0)..<0x30000).filter { Unicode.Scalar($0) != nil }

  private static func text(between scalar: UInt32) -> AlignedText {
    var text: AlignedText = []
    for (index, value) in scalars.enumerated() {
      if index > 0 { text.append(AlignedScalar(scalar, Int32(text.count), Int32(text.count + 1))) }
      text.append(AlignedScalar(value, Int32(text.count), Int32(text.count + 1)))
    }
    return text
  }

  @Test func `every normalizer makes of every scalar what the package makes of it`() throws {
    let start = Self.text(between: 0x61)
    for reference in try Fixture.references("scalars") {
      guard let settings = reference["normalizer"] else { continue }
      let normalizer = try Normalizer(FieldReader(settings, path: "", file: "test"))
      var text = start
      var scratch = NormalizerScratch()
      normalizer.normalize(&text, &scratch)
      var bytes = Data()
      for item in text { encodeScalar(item.scalar) { bytes.append($0) } }
      #expect(FileDigest.sha256(of: bytes) == reference["sha256"]?.string, "\(settings)")
    }
  }

  @Test func `every pre-tokenizer splits at every scalar as the package does`() throws {
    for reference in try Fixture.references("scalars") {
      guard let settings = reference["pre_tokenizer"] else { continue }
      let preTokenizer = try PreTokenizer(FieldReader(settings, path: "", file: "test"))
      let between = try #require(reference["between"]?.string?.scalarValues.first)
      var text = Self.text(between: between)
      var pieces = [Piece(0, text.count)]
      var scratch = PreTokenizerScratch()
      preTokenizer.split(&pieces, of: &text, &scratch)
      let bounds = pieces.map { "\(text[$0.start].start)-\(text[$0.end - 1].end)" }.joined(separator: " ")
      #expect(
        FileDigest.sha256(of: Data(bounds.utf8)) == reference["sha256"]?.string, "\(settings) between \(between)")
    }
  }
}
