import Foundation
import Testing

@testable import Datasets

@Suite struct FewShotDatasetTests {
  /// Two data sets: three letters with two pictures each, and five signs with one each; two class names are in both.
  private func tree(_ files: KeyValuePairs<String, String> = [:]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for name in ["a", "b", "c"] {
      for picture in 1...2 { try folder.write([1], "letters/\(name)/\(picture).png") }
    }
    for name in ["a", "b", "plus", "minus", "dot"] { try folder.write([1], "signs/\(name)/1.png") }
    for (path, text) in files { try folder.write(Array(text.utf8), path) }
    return folder
  }

  private func paths(_ pool: EpisodePool, in data: FewShotFolder) -> [[String]] {
    pool.classes.map { $0.examples.map { data.folder.samples[$0].path } }
  }

  private func error(_ files: KeyValuePairs<String, String>) throws -> FewShotError? {
    let folder = try tree(files)
    return #expect(throws: FewShotError.self) { try FewShotFolder(at: folder.url) }
  }

  // MARK: Files

  private let letters = #"{"training": ["c", "a"], "test": ["b"]}"#
  private let signs = #"{"training": ["a"], "validation": ["plus"], "test": ["minus", "b"]}"#

  @Test func `classes of the same name in two data sets are apart`() throws {
    let folder = try tree(["letters/splits.json": letters, "signs/splits.json": signs])
    let data = try FewShotFolder(at: folder.url)
    let training = try data.pools(.training)
    #expect(training.map(\.name) == ["letters", "signs"])
    #expect(training.map { $0.classes.map(\.name) } == [["a", "c"], ["a"]])
    #expect(paths(training[0], in: data)[1] == ["letters/c/1.png", "letters/c/2.png"])
    #expect(paths(training[1], in: data) == [["signs/a/1.png"]])
    #expect(try data.pools(.test).map { $0.classes.map(\.name) } == [["b"], ["b", "minus"]])
  }

  @Test func `one file in the root divides the data sets it names as files of their own do`() throws {
    let apart = try tree(["letters/splits.json": letters, "signs/splits.json": signs])
    let together = try tree(["splits.json": #"{"letters": \#(letters), "signs": \#(signs)}"#])
    let (first, second) = (try FewShotFolder(at: apart.url), try FewShotFolder(at: together.url))
    for split in ClassSplit.allCases { #expect(try first.pools(split) == second.pools(split)) }
    #expect(second.splits[0].origin == .file(together.url.path + "/splits.json"))
    #expect(first.folder.ignoredFiles.isEmpty && second.folder.ignoredFiles.isEmpty)
  }

  @Test func `a data set without classes in a split gives no pool, and an error where it is named`() throws {
    let folder = try tree(["letters/splits.json": letters, "signs/splits.json": signs])
    let data = try FewShotFolder(at: folder.url)
    #expect(try data.pools(.validation).map(\.name) == ["signs"])
    #expect(throws: FewShotError.noClasses(.validation, datasets: ["letters"])) {
      try data.pools(.validation, named: ["signs", "letters"])
    }
    #expect(
      throws: FewShotError.unknownDataset(
        "lettres", file: nil, known: ["letters", "signs"], suggestion: " Did you mean 'letters'?")
    ) { try data.pools(.test, named: ["lettres"]) }
    #expect(try data.pools(.test, named: ["signs"]).map(\.name) == ["signs"])
  }

  @Test func `classes in no split are listed`() throws {
    let folder = try tree(["splits.json": #"{"signs": {"test": ["a", "minus"]}, "letters": {"test": ["a", "b", "c"]}}"#]
    )
    let data = try FewShotFolder(at: folder.url)
    #expect(data.splits.map(\.unassigned) == [[], ["b", "dot", "plus"]])
    #expect(throws: FewShotError.noClasses(.training, datasets: ["letters", "signs"])) { try data.pools(.training) }
  }

  @Test func `unusable examples are left out of their classes, which stay`() throws {
    let folder = try tree(["splits.json": #"{"letters": {"test": ["a", "b", "c"]}}"#])
    let data = try FewShotFolder(at: folder.url)
    let pool = try data.pools(.test, named: ["letters"], usable: { ![0, 2, 3].contains($0) })[0]
    #expect(pool.classes.map(\.examples) == [[1], [], [4, 5]])
    #expect(
      throws: EpisodeError.smallClasses(
        [.init(name: "a", examples: 1), .init(name: "b", examples: 0)], pool: "letters", needed: 2)
    ) { try EpisodeSampler([pool], settings: .fixed(ways: 2, shots: 1, queries: 1), seed: 0) }
  }

  @Test func `groups and nodes become places among the split's classes`() throws {
    let groups = #"{"test": ["a", "c"], "training": ["b"], "groups": {"y": ["c", "b"], "x": ["a"]}}"#
    let nodes =
      #"{"test": ["plus", "minus", "dot"], "nodes": {"all": ["dot", "plus", "minus"], "n": ["dot"], "o": ["a"]}}"#
    let folder = try tree(["letters/splits.json": groups, "signs/splits.json": nodes])
    let data = try FewShotFolder(at: folder.url)
    let pools = try data.pools(.test)
    #expect(pools[0].hierarchy == .groups([[0], [1]]))
    #expect(try data.pools(.training)[0].hierarchy == .groups([[0]]))
    #expect(pools[1].classes.map(\.name) == ["dot", "minus", "plus"])
    #expect(pools[1].hierarchy == .nodes([[0, 2, 1], [0]]))
  }

  @Test func `names that are not there are errors with the nearest that is`() throws {
    let root = try error(["splits.json": #"{"lettres": {}}"#])
    #expect(root?.description.contains("no data set 'lettres', which '") == true)
    #expect(root?.description.contains("Did you mean 'letters'?") == true)
    let name = try error(["signs/splits.json": #"{"test": ["munus"]}"#])
    #expect(name?.description.contains("'munus', a class that data set 'signs' does not have") == true)
    #expect(name?.description.contains("Did you mean 'minus'?") == true)
    // The class is there, but in another data set.
    guard case .unknownClass("c", "signs", _, _) = try error(["signs/splits.json": #"{"test": ["c"]}"#]) else {
      Issue.record("'c' is a class of letters alone")
      return
    }
    let key = try error(["signs/splits.json": #"{"train": ["a"]}"#])
    #expect(key?.description.contains("has \"train\" for data set 'signs'") == true)
    let group = try error(["signs/splits.json": #"{"test": ["a"], "groups": {"g": ["z"]}}"#])
    #expect(group?.description.contains("'z'") == true)
  }

  @Test func `a class in two places is an error`() throws {
    guard
      case .repeatedClass("a", "signs", _, "training", "test") = try error([
        "signs/splits.json": #"{"training": ["a"], "test": ["b", "a"]}"#
      ])
    else {
      Issue.record("'a' is in two splits")
      return
    }
    let twice = try error(["signs/splits.json": #"{"test": ["a", "a"]}"#])
    #expect(twice?.description.contains("twice in test") == true)
    let groups = try error(["signs/splits.json": #"{"test": ["a"], "groups": {"g": ["a"], "h": ["a"]}}"#])
    #expect(groups?.description.contains("in g and in h") == true)
  }

  @Test func `files of another form are errors that say where`() throws {
    #expect(try error(["splits.json": "[]"])?.description.contains("an array where an object of data sets") == true)
    let list = try error(["signs/splits.json": #"{"test": "a"}"#])
    #expect(list?.description.contains("data set 'signs', \"test\": a string where a list of classes") == true)
    let name = try error(["signs/splits.json": #"{"test": [1]}"#])
    #expect(name?.description.contains("a number where the name of a class") == true)
    let groups = try error(["signs/splits.json": #"{"groups": {"g": {}}}"#])
    #expect(groups?.description.contains("\"groups.g\": an object where a list of classes") == true)
    guard case .twoHierarchies = try error(["signs/splits.json": #"{"groups": {}, "nodes": {}}"#]) else {
      Issue.record("groups and nodes")
      return
    }
    let both = try error(["splits.json": #"{"signs": {}}"#, "signs/splits.json": "{}"])
    #expect(both?.description.hasPrefix("Data set 'signs' is divided by '") == true)
  }

  // MARK: Drawing

  @Test func `without a file the classes are dealt by the seed, whatever their order`() throws {
    let names = (0..<40).map { "class-\($0)" }
    let splits = ClassFractions.usual.splits(of: names, dataset: "d", seed: 3)
    #expect(ClassSplit.allCases.map { splits[$0]?.count } == [24, 6, 10])
    #expect(Set(splits.values.joined()) == Set(names))
    #expect(ClassFractions.usual.splits(of: names.reversed(), dataset: "d", seed: 3) == splits)
    #expect(ClassFractions.usual.splits(of: names, dataset: "d", seed: 4) != splits)
    #expect(ClassFractions.usual.splits(of: names, dataset: "e", seed: 3) != splits)
    // One class more moves at most one class over each of the two borders.
    let more = ClassFractions.usual.splits(of: names + ["another"], dataset: "d", seed: 3)
    let kept = ClassSplit.allCases.map { Set(splits[$0] ?? []).intersection(more[$0] ?? []).count }
    #expect(kept.reduce(0, +) >= 38)
  }

  @Test func `fractions decide how many, and data sets may be for testing only`() throws {
    let folder = try tree()
    let data = try FewShotFolder(at: folder.url, drawing: .testOnly)
    #expect(data.splits.map(\.test.count) == [3, 5] && data.splits.map(\.training.count) == [0, 0])
    let none = ClassFractions.usual.splits(of: [], dataset: "d", seed: 0)
    #expect(none.count == 3 && Array(none.values.joined()).isEmpty)
    let all = try ClassFractions(training: 1, validation: 0).splits(of: ["a", "b"], dataset: "d", seed: 0)
    #expect(all[.training] == ["a", "b"])
    for (training, validation) in [(-0.1, 0.0), (0.7, 0.4), (.nan, 0)] {
      #expect(throws: FewShotError.self) { try ClassFractions(training: training, validation: validation) }
    }
    let other = try FewShotFolder(at: folder.url, seed: 9)
    #expect(other.splits[1].origin == .drawn(.usual, seed: 9))
    #expect(other.splits[1].training.count == 3 && other.splits[1].test.count == 1)
  }

  // MARK: Texts

  @Test func `texts are divided as images are`() throws {
    let folder = try TemporaryFolder()
    let line = { (text: String, label: String) in #"{"text": "\#(text)", "label": "\#(label)"}"# + "\n" }
    try folder.write(Array((line("x", "a") + line("y", "b") + line("z", "a")).utf8), "news.jsonl")
    try folder.write(Array((line("u", "b") + line("v", "c")).utf8), "mail.jsonl")
    try folder.write(
      Array(#"{"news": {"test": ["a", "b"]}, "mail": {"training": ["c"], "test": ["b"]}}"#.utf8), "splits.json")
    var options = TextFolder.Options()
    options.allowsMissingClasses = true
    let data = try FewShotTexts(TextFolder(at: folder.url, options: options))
    let pools = try data.pools(.test)
    #expect(pools.map(\.name) == ["mail", "news"])
    #expect(
      pools.map { $0.classes.map { $0.examples.map { data.dataset.samples[$0].text } } } == [
        [["u"]], [["x", "z"], ["y"]],
      ])
  }
}
