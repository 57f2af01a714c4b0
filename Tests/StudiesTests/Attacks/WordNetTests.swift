import Foundation
import Studies
import Testing

@Suite struct WordNetTests {
  /// A WordNet of a few words: `file.write` at the offsets that the index names.
  private func makeFolder() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    func write(_ name: String, _ text: String) throws {
      try Data(text.utf8).write(to: folder.url.appendingPathComponent(name))
    }
    let licence = "  1 This is the licence.  \n"
    func data(_ synsets: [String]) -> (text: String, offsets: [Int]) {
      var (text, offsets) = (licence, [Int]())
      for synset in synsets {
        offsets.append(text.utf8.count)
        text += synset + "\n"
      }
      return (text, offsets)
    }
    let nouns = data([
      "00000027 06 n 03 movie 0 film 0 motion_picture 0 000 | a form of entertainment",
      "00000100 06 n 02 film 1 Celluloid 0 000 | a thin coating",
    ])
    try write("data.noun", nouns.text)
    let (first, second) = (nouns.offsets[0], nouns.offsets[1])
    try write(
      "index.noun",
      licence + "film n 2 0 2 1 \(first) \(second)  \nmovie n 1 1 @ 1 1 \(first)  \n"
        + "motion_picture n 1 0 1 0 \(first)  \ncelluloid n 1 0 1 0 \(second)  \n")
    try write("noun.exc", "filmen film\n")
    let adjectives = data(["00000027 00 a 02 asleep(p) 0 sleeping 0 000 | not awake"])
    try write("data.adj", adjectives.text)
    try write(
      "index.adj",
      licence + "asleep a 1 0 1 0 \(adjectives.offsets[0])  \nsleeping a 1 0 1 0 \(adjectives.offsets[0])  \n")
    for part in ["verb", "adv"] {
      try write("data.\(part)", licence)
      try write("index.\(part)", licence)
    }
    for part in ["adj", "verb", "adv"] { try write("\(part).exc", "") }
    return folder
  }

  @Test func `synonyms are the other single words of all synsets, the commoner sense first`() throws {
    let folder = try makeFolder()
    let wordNet = try WordNet(from: folder.url)
    #expect(wordNet.synonyms(of: "film") == ["movie", "Celluloid"])
    #expect(wordNet.synonyms(of: "movie") == ["film"])
    #expect(wordNet.synonyms(of: "sleeping") == ["asleep"])
    #expect(wordNet.synonyms(of: "unheard").isEmpty)
  }

  @Test func `inflected forms are looked up by their base form, and capitals are kept`() throws {
    let folder = try makeFolder()
    let wordNet = try WordNet(from: folder.url)
    #expect(wordNet.synonyms(of: "movies") == ["film"])
    #expect(wordNet.synonyms(of: "filmen") == ["movie", "Celluloid"])
    #expect(wordNet.synonyms(of: "Movie") == ["Film"])
  }

  @Test func `a folder that is not WordNet's is refused`() throws {
    let folder = try TemporaryFolder()
    #expect(throws: WordNetError.missing("index.noun", folder: folder.url.path)) { try WordNet(from: folder.url) }
    let broken = try makeFolder()
    try Data("film n two\n".utf8).write(to: broken.url.appendingPathComponent("index.noun"))
    #expect(throws: WordNetError.line(1, file: "index.noun")) { try WordNet(from: broken.url) }
  }

  @Test(arguments: [
    ("00000000 06 n -1 film 0", 0), ("00000000 06 n fffffffff film 0", 0), ("00000000 06 n", 0),
    ("00000000 06 n 01 film 0", 1), ("00000000 06 n 01 film 0", 99), ("00000000 06 n 01 film 0", -5),
  ]) func `a synset that is none is refused`(synset: String, offset: Int) throws {
    let folder = try makeFolder()
    try Data("film n 1 0 1 0 \(offset)  \n".utf8).write(to: folder.url.appendingPathComponent("index.noun"))
    try Data("\(synset)\n".utf8).write(to: folder.url.appendingPathComponent("data.noun"))
    #expect(throws: WordNetError.synset(offset, file: "data.noun")) { try WordNet(from: folder.url) }
  }

  @Test func `a synset that ends before its words do has none`() throws {
    let folder = try makeFolder()
    try Data("film n 1 0 1 0 0  \n".utf8).write(to: folder.url.appendingPathComponent("index.noun"))
    try Data("00000000 06 n ff film 0 movie 0\n".utf8).write(to: folder.url.appendingPathComponent("data.noun"))
    #expect(try WordNet(from: folder.url).synonyms(of: "film").isEmpty)
  }
}
