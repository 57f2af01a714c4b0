import Formats
import Foundation
import Testing

@testable import Datasets

@Suite struct TextFolderTests {
  private let good = #"{"text": "fine", "label": "up"}"# + "\n" + #"{"text": "poor", "label": "down"}"# + "\n"

  private func folder(_ files: KeyValuePairs<String, String>) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for (path, text) in files { try folder.write(Array(text.utf8), path) }
    return folder
  }

  private func read(
    _ files: KeyValuePairs<String, String>, _ change: (inout TextFolder.Options) -> Void = { _ in }
  ) throws -> TextFolder {
    let folder = try folder(files)
    var options = TextFolder.Options()
    change(&options)
    return try TextFolder(at: folder.url, options: options)
  }

  // MARK: Layout

  @Test func `domains are files and folders, sorted by code point, and parts come in their order`() throws {
    let data = try read([
      "b.jsonl": good, "a_2/test.jsonl": good, "a_2/train.tsv": "label\ttext\nup\tyes\n",
      "a_10/2.csv": "text,label\nno,up\n", "a_10/1.csv": "text,label\n\"well, no\",down\n", "a_10/x/y.csv": "",
      "README.md": "", "a_10/notes": "", ".hidden": "",
    ])
    #expect(data.domains == ["a_10", "a_2", "b"] && data.classes == ["down", "up"])
    #expect(data.ranges == [0..<2, 2..<5, 5..<7])
    #expect(data.samples.map(\.text) == ["well, no", "no", "yes", "fine", "poor", "fine", "poor"])
    #expect(data.samples.map(\.label) == [0, 1, 1, 1, 0, 1, 0] && data.samples.map(\.domain) == [0, 0, 1, 1, 1, 2, 2])
    #expect(data.samples.map(\.part) == [nil, nil, .train, .test, .test, nil, nil])
    #expect(data.samples.map(\.file)[1...3] == ["a_10/2.csv", "a_2/train.tsv", "a_2/test.jsonl"])
    #expect(data.samples.map(\.line) == [2, 2, 2, 1, 2, 1, 2])
    #expect(
      data.ignoredFiles.map(\.description) == [
        ".hidden: hidden", "README.md: its name does not end in .jsonl, .csv or .tsv",
        "a_10/x: a folder inside a domain's folder", "a_10/notes: its name does not end in .jsonl, .csv or .tsv",
      ])
  }

  @Test func `pairs, numbers as labels and other names of columns are read`() throws {
    let rows = #"{"a": "One.", "b": "Two.", "gold": 10}"# + "\n" + #"{"gold": 9, "b": "4", "a": "3", "c": null}"#
    let data = try read(["d.jsonl": rows]) {
      ($0.text, $0.secondText, $0.label) = ("a", "b", "gold")
    }
    // By code point, like every name: not by value.
    #expect(data.classes == ["10", "9"] && data.samples.map(\.label) == [0, 1])
    #expect(data.samples.map(\.text) == ["One.", "3"] && data.samples.map(\.secondText) == ["Two.", "4"])
  }

  @Test func `tables without names are read by the numbers of their columns, and quotes mean nothing in TSV`() throws {
    let data = try read(["d.tsv": "1\tx\t\"He said\tup\r\n2\ty\tno\"\tdown\r\n"]) {
      ($0.hasHeader, $0.text, $0.label) = (false, 3, 4)
    }
    #expect(data.samples.map(\.text) == ["\"He said", "no\""] && data.classes == ["down", "up"])
    #expect(data.samples.map(\.line) == [1, 2])
  }

  @Test func `a byte order mark, CRLF and line ends in quotes are no part of names and texts`() throws {
    let data = try read(["d.csv": "\u{FEFF}text,label\r\n\"two\r\nlines\",up\r\n\"a \"\"b\"\"\",down\r\n\r\n"])
    #expect(data.samples.map(\.text) == ["two\r\nlines", "a \"b\""] && data.samples.map(\.line) == [2, 4])
  }

  @Test func `domains can be chosen, and each read with classes of its own`() throws {
    let other = #"{"text": "ball", "label": "sport"}"# + "\n" + #"{"text": "vote", "label": "politics"}"#
    let folder = try folder(["mood.jsonl": good, "topic.jsonl": other, "alike.jsonl": good])
    let tasks = try TextFolder.tasks(at: folder.url)
    #expect(tasks.map(\.domains) == [["alike"], ["mood"], ["topic"]])
    #expect(tasks.map(\.classes) == [["down", "up"], ["down", "up"], ["politics", "sport"]])
    var options = TextFolder.Options()
    options.domains = ["mood", "alike"]
    #expect(try TextFolder(at: folder.url, options: options).domains == ["alike", "mood"])
    let part = try TextFolder(at: folder.url, options: options).selecting(["mood"])
    #expect(part.domains == ["mood"] && part.samples.map(\.domain) == [0, 0] && part.ranges == [0..<2])
    #expect(throws: DomainDatasetError.noneSelected(known: ["alike", "mood"])) {
      try TextFolder(at: folder.url, options: options).selecting([])
    }
    let left = try TextFolder(at: folder.url, options: options).leavingOut("mood")
    #expect(left.targetName == "mood" && left.sourceNames == ["alike"])
    options.domains = ["modo"]
    let error = #expect(throws: DomainDatasetError.self) { try TextFolder(at: folder.url, options: options) }
    #expect(
      error?.description
        == "There is no domain 'modo'. Did you mean 'mood'? The domains are 'alike', 'mood', 'topic'.")
  }

  @Test func `given classes keep their order`() throws {
    let data = try read(["d.jsonl": good]) { $0.classes = ["up", "down"] }
    #expect(data.classes == ["up", "down"] && data.samples.map(\.label) == [0, 1])
    for classes in [["up"], ["up", "up"]] {
      #expect(throws: TextFolderError.classes(classes)) { try read(["d.jsonl": good]) { $0.classes = classes } }
    }
  }

  // MARK: Bad lines

  @Test func `every bad line is named with its file and the reason`() throws {
    let lines = [
      #"{"text": "x", "lable": "up"}"#, "{\"text\": \"ca\u{FF}", "plain", "[1]", "  \t", #"{"text": 5, "label": "up"}"#,
      #"{"text": " ", "label": "up"}"#, #"{"text": "a", "label": true}"#,
      "{\"text\": \"\(String(repeating: "a", count: 10_000_000))\", \"label\": \"up\"}", #"{"text": "a", "label": ""}"#,
    ]
    let folder = try TemporaryFolder()
    // As Latin-1, ÿ is one byte that UTF-8 does not have.
    try folder.write([UInt8](try #require((good + lines.joined(separator: "\n")).data(using: .isoLatin1))), "d.jsonl")
    try folder.write(Array("text,label\na,b,c\nx,up\n,up\n".utf8), "e.csv")
    let error = #expect(throws: BadLinesError.self) { try TextFolder(at: folder.url) }
    #expect(
      error?.description == """
        11 of 14 lines cannot be used:
          d.jsonl:3 has no 'label', only 'text', 'lable'
          d.jsonl:4 is not UTF-8 at byte 12
          d.jsonl:5 is not JSON: at byte 0, found 'p' where a value should be
          d.jsonl:6 is an array where a JSON object should be
          d.jsonl:8 has a number in 'text', where a string should be
          d.jsonl:9 has nothing in 'text'
          d.jsonl:10 has a boolean in 'label', where a string or a number should be
          d.jsonl:11 is longer than 1048576 bytes
          d.jsonl:12 has nothing in 'label'
          e.csv:2 has 3 fields, where the first line has 2
          e.csv:4 has nothing in 'text'
        Repair or remove them, or skip bad lines; the results will list what was skipped.
        """)
    var options = TextFolder.Options()
    options.badLines = .skip
    options.allowsMissingClasses = true
    let rest = try TextFolder(at: folder.url, options: options)
    #expect(rest.badLines == error?.lines && rest.samples.map(\.text) == ["fine", "poor", "x"])
  }

  @Test func `a label outside the given classes and bytes that are not UTF-8 in a table are bad lines`() throws {
    let folder = try TemporaryFolder()
    let lines = "text\tlabel\na\tup\nb\tsideways\n\u{C3}(\tup\nc\tdown\n"
    try folder.write([UInt8](try #require(lines.data(using: .isoLatin1))), "d.tsv")
    var options = TextFolder.Options()
    options.classes = ["down", "up"]
    let error = #expect(throws: BadLinesError.self) { try TextFolder(at: folder.url, options: options) }
    #expect(
      error?.lines.map(\.description) == [
        "d.tsv:3 has the label 'sideways', which is none of the classes", "d.tsv:4 is not UTF-8 in column 1",
      ])
    #expect(error?.total == 4)
  }

  // MARK: Folders that do not serve

  @Test func `a folder that is none, or holds nothing, is refused`() throws {
    let folder = try folder(["a.jsonl": good])
    let missing = folder.url.appendingPathComponent("nowhere")
    #expect(throws: TextFolderError.missing(root: missing.path)) { try TextFolder(at: missing) }
    let file = folder.url.appendingPathComponent("a.jsonl")
    #expect(throws: TextFolderError.notAFolder(root: file.path)) { try TextFolder(at: file) }
    let empty = try TemporaryFolder()
    #expect(throws: TextFolderError.noDomains(root: empty.url.path)) { try TextFolder(at: empty.url) }
    try empty.write([], "d/notes.txt")
    #expect(throws: TextFolderError.noFiles(domain: "d", root: empty.url.path)) { try TextFolder(at: empty.url) }
  }

  @Test func `a domain that is there twice, and parts that are not clear, are refused`() throws {
    #expect(throws: TextFolderError.domainTwice("a", places: ["a", "a.csv", "a.jsonl"])) {
      try read(["a.jsonl": good, "a.csv": "", "a/train.jsonl": good])
    }
    #expect(throws: TextFolderError.mixedParts(domain: "a", files: ["a/more.jsonl", "a/train.jsonl"])) {
      try read(["a/train.jsonl": good, "a/more.jsonl": good])
    }
    #expect(throws: TextFolderError.partTwice(domain: "a", files: ["a/test.csv", "a/test.jsonl"])) {
      try read(["a/test.jsonl": good, "a/test.csv": good])
    }
  }

  @Test func `a domain without samples or with one class is refused, with the remedy`() throws {
    #expect(throws: TextFolderError.noSamples(domain: "b", badLines: 0)) {
      try read(["a.jsonl": good, "b.jsonl": "\n"])
    }
    #expect(throws: TextFolderError.noSamples(domain: "b", badLines: 1)) {
      try read(["a.jsonl": good, "b.jsonl": "?"]) { $0.badLines = .skip }
    }
    let one = #"{"text": "fine", "label": "up"}"#
    let error = #expect(throws: TextFolderError.self) { try read(["a.jsonl": good, "b.jsonl": one]) }
    #expect(
      error?.description == """
        Domain 'b' has only the class 'up'. Classification takes two classes or more; leave the domain out, or allow \
        missing classes where other domains have the rest.
        """)
    #expect(try read(["a.jsonl": good, "b.jsonl": one]) { $0.allowsMissingClasses = true }.ranges == [0..<2, 2..<3])
    #expect(throws: TextFolderError.oneClass(domain: "b", name: "up")) {
      try read(["b.jsonl": one]) { $0.allowsMissingClasses = true }
    }
  }

  @Test func `classes that a domain lacks are named`() throws {
    let more = good + #"{"text": "so so", "label": "level"}"#
    let error = #expect(throws: TextFolderError.self) { try read(["a.jsonl": good, "b.jsonl": more]) }
    #expect(error?.description.contains("do not have the same classes: 'a' lacks 'level'. Read domains") == true)
    let data = try read(["a.jsonl": good, "b.jsonl": more]) { $0.allowsMissingClasses = true }
    #expect(data.classes == ["down", "level", "up"])
  }

  @Test func `columns that a table does not have are refused`() throws {
    let error = #expect(throws: TextFolderError.self) {
      try read(["d.csv": "sentence,Label\na,b\n"]) { $0.text = "sentence" }
    }
    #expect(
      error?.description
        == "'d.csv' has no column 'label'. Did you mean 'Label'? Its first line has 'sentence', 'Label'.")
    #expect(throws: TextFolderError.columnTwice("text", file: "d.csv")) {
      try read(["d.csv": "text,text,label\na,b,c\n"])
    }
    #expect(throws: TextFolderError.column("text", file: "d.csv")) {
      try read(["d.csv": "a,b\n"]) { $0.hasHeader = false }
    }
    #expect(throws: TextFolderError.column(3, file: "d.tsv")) {
      try read(["d.tsv": "a\tb\n"]) { ($0.hasHeader, $0.text, $0.label) = (false, 1, 3) }
    }
    #expect(throws: TextFolderError.column(1, file: "d.jsonl")) { try read(["d.jsonl": good]) { $0.text = 1 } }
    #expect(throws: TextFolderError.column(0, file: "d.tsv")) { try read(["d.tsv": "text\tlabel\n"]) { $0.text = 0 } }
    #expect(throws: TextFolderError.self) { try read(["d.csv": "\"text,label\na,b\n"]) }
    for limit in [0, -1, Int.max] {
      #expect(throws: TextFolderError.lineLimit(limit)) { try read(["d.jsonl": good]) { $0.lineLimit = limit } }
    }
  }

  // MARK: Fingerprint

  @Test func `the fingerprint changes with texts, labels, parts and names, not with the place`() throws {
    let first = try read(["a.jsonl": good]).fingerprint
    #expect(first.count == 64)
    #expect(try read(["a.tsv": "text\tlabel\nfine\tup\npoor\tdown\n"]).fingerprint == first)
    #expect(try read(["b.jsonl": good]).fingerprint != first)
    #expect(try read(["a/train.jsonl": good]).fingerprint != first)
    #expect(try read(["a.tsv": "text\tlabel\nfine\tdown\npoor\tup\n"]).fingerprint != first)
    #expect(try read(["a.tsv": "text\tlabel\nfine\tup\npoorer\tdown\n"]).fingerprint != first)
    // Where the first text ends and the second begins counts too.
    let pairs = try ["a\tbc", "ab\tc", "a\tbd"].map { pair in
      try read(["a.tsv": "text\tmore\tlabel\n\(pair)\tup\nx\ty\tdown\n"]) { $0.secondText = "more" }.fingerprint
    }
    #expect(Set(pairs).count == 3)
  }
}
