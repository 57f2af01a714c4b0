import Formats

/// Which classes of one data set are for training, validation and test, and which may stand in a task together.
///
/// In a file, one object for a data set:
///
///     {"training": ["alpha", "beta"], "validation": ["gamma"], "test": ["delta", "be"],
///      "groups": {"greek": ["alpha", "beta", "gamma", "delta"], "cyrillic": ["be"]}}
///
/// Every key may be left out. A class stands in one split at most; in none, it is in `unassigned`. In place of
/// `groups`, `nodes` gives the classes that each node of a hierarchy spans; a class may be below several.
public struct ClassSplits: Sendable, Hashable {
  public enum Origin: Sendable, Hashable {
    /// The path of the file.
    case file(String)
    case drawn(ClassFractions, seed: UInt64)
  }

  public enum Hierarchy: Sendable, Hashable {
    case groups([Group])
    case nodes([Group])
  }

  /// A group of classes, or the classes that a node of a hierarchy spans.
  public struct Group: Sendable, Hashable {
    public let name: String
    public let classes: [String]
  }

  public let dataset: String
  /// By code point.
  public let training: [String]
  public let validation: [String]
  public let test: [String]
  /// Classes of the data set that are in no split: no episode has them.
  public let unassigned: [String]
  public let hierarchy: Hierarchy?
  public let origin: Origin

  public subscript(split: ClassSplit) -> [String] {
    switch split {
    case .training: training
    case .validation: validation
    case .test: test
    }
  }

  /// - Parameter splits: in which no class stands twice.
  init(dataset: String, classes: [String], splits: [ClassSplit: [String]], hierarchy: Hierarchy?, origin: Origin) {
    func sorted(_ split: ClassSplit) -> [String] { DomainFolderReader.byCodePoint(splits[split] ?? []) }
    self.dataset = dataset
    (training, validation, test) = (sorted(.training), sorted(.validation), sorted(.test))
    let assigned = Set(splits.values.joined())
    unassigned = classes.filter { !assigned.contains($0) }
    self.hierarchy = hierarchy
    self.origin = origin
  }

  /// Draws the splits.
  init(dataset: String, classes: [String], drawing fractions: ClassFractions, seed: UInt64) {
    self.init(
      dataset: dataset, classes: classes, splits: fractions.splits(of: classes, dataset: dataset, seed: seed),
      hierarchy: nil, origin: .drawn(fractions, seed: seed))
  }

  /// Reads them.
  init(dataset: String, classes: [String], json: JSONValue, file: String) throws(FewShotError) {
    let reader = Reader(dataset: dataset, file: file, known: Set(classes), classes: classes)
    let object = try reader.object(json, at: "")
    let splitNames = ClassSplit.allCases.map(\.rawValue)
    for key in object.keys where !(splitNames + ["groups", "nodes"]).contains(key) {
      throw .unknownKey(
        key, dataset: dataset, file: file,
        suggestion: Suggestion.didYouMean(key, among: splitNames + ["groups", "nodes"]))
    }
    var splits: [ClassSplit: [String]] = [:]
    var owners: [String: String] = [:]
    for split in ClassSplit.allCases {
      guard let value = object[split.rawValue] else { continue }
      let names = try reader.classes(value, at: split.rawValue)
      for name in names {
        if let first = owners.updateValue(split.rawValue, forKey: name) {
          throw .repeatedClass(name, dataset: dataset, file: file, first: first, second: split.rawValue)
        }
      }
      splits[split] = names
    }
    var hierarchy: Hierarchy?
    switch (object["groups"], object["nodes"]) {
    case (nil, nil): break
    case (let groups?, nil): hierarchy = .groups(try reader.groups(groups, at: "groups", apart: true))
    case (nil, let nodes?): hierarchy = .nodes(try reader.groups(nodes, at: "nodes", apart: false))
    case (.some, .some): throw .twoHierarchies(dataset: dataset, file: file)
    }
    self.init(dataset: dataset, classes: classes, splits: splits, hierarchy: hierarchy, origin: .file(file))
  }

  private struct Reader {
    let dataset: String
    let file: String
    let known: Set<String>
    let classes: [String]

    func object(_ value: JSONValue, at key: String) throws(FewShotError) -> JSONObject {
      guard let object = value.object else {
        throw .malformed(key, dataset: dataset, file: file, expected: "an object", found: value.kind)
      }
      return object
    }

    func classes(_ value: JSONValue, at key: String) throws(FewShotError) -> [String] {
      guard let values = value.array else {
        throw .malformed(key, dataset: dataset, file: file, expected: "a list of classes", found: value.kind)
      }
      var names: [String] = []
      for value in values {
        guard let name = value.string else {
          throw .malformed(key, dataset: dataset, file: file, expected: "the name of a class", found: value.kind)
        }
        guard known.contains(name) else {
          throw .unknownClass(
            name, dataset: dataset, file: file, suggestion: Suggestion.didYouMean(name, among: classes))
        }
        names.append(name)
      }
      return names
    }

    /// By the code points of their names.
    func groups(_ value: JSONValue, at key: String, apart: Bool) throws(FewShotError) -> [Group] {
      let object = try object(value, at: key)
      var groups: [Group] = []
      var owners: [String: String] = [:]
      for name in DomainFolderReader.byCodePoint(object.keys) {
        guard let value = object[name] else { continue }
        let names = try classes(value, at: "\(key).\(name)")
        for own in names {
          if let first = owners.updateValue(name, forKey: own), apart || first == name {
            throw .repeatedClass(own, dataset: dataset, file: file, first: first, second: name)
          }
        }
        groups.append(Group(name: name, classes: names))
      }
      return groups
    }
  }
}
