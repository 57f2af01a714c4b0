import Formats
import Foundation
import Testing
import Tokenizers

private let minilm = FileManager.default.homeDirectoryForCurrentUser
  .appendingPathComponent(".cache/graft/models/minilm")

/// The real tokenizer of MiniLM-L6, as `scripts/fetch models minilm` leaves it.
@Suite(.enabled(if: FileManager.default.fileExists(atPath: minilm.appendingPathComponent("tokenizer.json").path)))
struct EndToEndTokenizerTests {
  @Test func `MiniLM's tokenizer gives the ids that its model card's sentence has`() throws {
    let tokenizer = try Tokenizer(from: minilm)
    let encoding = try tokenizer.encode("The weather is lovely today.")
    #expect(encoding.ids == [101, 1996, 4633, 2003, 8403, 2651, 1012, 102])
    #expect(encoding.offsets == [0..<0, 0..<3, 4..<11, 12..<14, 15..<21, 22..<27, 27..<28, 0..<0])
    #expect(tokenizer.vocabularySize == 30_522)
    #expect(tokenizer.paddingID == 0)
    #expect(try tokenizer.decode(encoding.ids) == "the weather is lovely today.")
  }

  @Test func `its vocab.txt encodes as its tokenizer.json does`() throws {
    let tokenizer = try Tokenizer(from: minilm)
    let files = ["vocab.txt", "tokenizer_config.json"]
    let contents = try files.map { try String(contentsOf: minilm.appendingPathComponent($0), encoding: .utf8) }
    let older = try Fixture.withFolder(Dictionary(uniqueKeysWithValues: zip(files, contents))) {
      try Tokenizer(from: $0)
    }
    for text in ["Zoë's résumé [MASK] 北京", "I'm unbelievably \u{1F469}\u{200D}\u{1F467} tired…", ""] {
      #expect(try tokenizer.encode(text, "x") == older.encode(text, "x"))
    }
  }
}
