import Formats
import Foundation

/// What `dataset_spec.json` says of one data set of Meta-Dataset: its classes, their splits, and which belong together.
///
/// Classes have numbers from 0 without gaps, those of training first, then validation, then test. Three kinds are told
/// apart by their keys: `classes_per_split` alone; `superclasses_per_split` and `classes_per_superclass`, whose
/// superclasses become groups (Omniglot); `split_subgraphs`, a part of WordNet for each split, whose inner nodes become
/// nodes (ImageNet). Triantafillou et al. 2020, arXiv:1903.03096, and the specifications that its repository
/// distributes.
public struct MetaDatasetSpecification: Sendable, Hashable {
  public struct Class: Sendable, Hashable {
    /// The class's number, which its records have as their label and its file in its name.
    public let id: Int
    /// For ImageNet the number of a WordNet synset, otherwise a word.
    public let name: String
    public let images: Int
    public let split: ClassSplit

    public var fileName: String { "\(id).tfrecords" }
  }

  public static let fileName = "dataset_spec.json"

  public let name: String
  /// By number.
  public let classes: [Class]
  /// By the classes' names.
  public let hierarchy: ClassSplits.Hierarchy?

  /// - Throws: `MetaDatasetError.specification`, with file and key; `JSONFileError` and `FileError` for a file that
  ///   cannot be read.
  public init(contentsOf url: URL) throws {
    self = try Self(json: JSONValue(contentsOf: url), file: url.path)
  }

  init(json: JSONValue, file: String) throws(MetaDatasetError) {
    let reader = MetaDatasetReader(json: json, file: file)
    name = try reader.text(json["name"], "name")
    let pattern = try reader.text(json["file_pattern"], "file_pattern")
    guard pattern == "{}.tfrecords" else {
      throw .specification(
        file, key: "file_pattern", problem: "'\(pattern)' is not read: only {}.tfrecords, one file for each class, is")
    }
    let names = try reader.names()
    if json["split_subgraphs"] != nil {
      (classes, hierarchy) = try reader.graphs(names)
    } else if json["superclasses_per_split"] != nil {
      (classes, hierarchy) = try reader.superclasses(names)
    } else {
      let counts = try reader.splits("classes_per_split")
      classes = try reader.classes(names, splits: counts)
      hierarchy = nil
    }
  }
}

/// Reads the parts of a specification, each checked against the others.
private struct MetaDatasetReader {
  typealias Class = MetaDatasetSpecification.Class

  let json: JSONValue
  let file: String

  private static let splitNames: KeyValuePairs<String, ClassSplit> = [
    "TRAIN": .training, "VALID": .validation, "TEST": .test,
  ]

  private func error(_ key: String, _ problem: String) -> MetaDatasetError {
    .specification(file, key: key, problem: problem)
  }

  func text(_ value: JSONValue?, _ key: String) throws(MetaDatasetError) -> String {
    guard let text = value?.string else { throw error(key, "\(value?.kind ?? "nothing") where a string should be") }
    return text
  }

  private func object(_ value: JSONValue?, _ key: String) throws(MetaDatasetError) -> JSONObject {
    guard let object = value?.object else { throw error(key, "\(value?.kind ?? "nothing") where an object should be") }
    return object
  }

  private func array(_ value: JSONValue?, _ key: String) throws(MetaDatasetError) -> [JSONValue] {
    guard let array = value?.array else { throw error(key, "\(value?.kind ?? "nothing") where a list should be") }
    return array
  }

  private func count(_ value: JSONValue?, _ key: String) throws(MetaDatasetError) -> Int {
    guard let count = value?.integer, (0...1 << 31).contains(count) else {
      if value?.object != nil { throw error(key, "classes whose images are divided themselves are not read") }
      throw error(
        key, "\(value.map { "\($0.integer.map(String.init) ?? $0.kind)" } ?? "nothing") where a count should be")
    }
    return count
  }

  /// The members of an object whose keys are the numbers from 0 without gaps, as Python writes them, in their order.
  private func numbered(_ key: String) throws(MetaDatasetError) -> [JSONValue] {
    let object = try object(json[key], key)
    var values: [JSONValue] = []
    for number in 0..<object.count {
      guard let value = object["\(number)"] else { throw error(key, "\(object.count) entries, and none for \(number)") }
      values.append(value)
    }
    return values
  }

  /// Every class's name; the number is added to those that are not the only ones of their name.
  func names() throws(MetaDatasetError) -> [String] {
    var names: [String] = []
    for (number, value) in try numbered("class_names").enumerated() {
      names.append(try text(value, "class_names.\(number)"))
    }
    let counts = Dictionary(names.map { ($0, 1) }, uniquingKeysWith: +)
    return names.enumerated().map { number, name in counts[name] == 1 ? name : "\(name) (\(number))" }
  }

  func splits(_ key: String) throws(MetaDatasetError) -> [(split: ClassSplit, count: Int)] {
    let object = try object(json[key], key)
    var splits: [(ClassSplit, Int)] = []
    for (name, split) in Self.splitNames { splits.append((split, try count(object[name], "\(key).\(name)"))) }
    return splits
  }

  func classes(
    _ names: [String], splits: [(split: ClassSplit, count: Int)]
  ) throws(MetaDatasetError) -> [Class] {
    let images = try numbered("images_per_class")
    let ofClasses = splits.reduce(0) { $0 + $1.count }
    guard ofClasses == names.count, images.count == names.count else {
      throw error(
        "class_names", "\(names.count) names for \(ofClasses) classes in splits, \(images.count) with a count of images"
      )
    }
    let splitOfClass = splits.flatMap { repeatElement($0.split, count: $0.count) }
    var classes: [Class] = []
    for (id, name) in names.enumerated() {
      let count = try count(images[id], "images_per_class.\(id)")
      classes.append(Class(id: id, name: name, images: count, split: splitOfClass[id]))
    }
    return classes
  }

  /// Superclasses have their classes one after the other.
  func superclasses(_ names: [String]) throws(MetaDatasetError) -> ([Class], ClassSplits.Hierarchy) {
    let splits = try splits("superclasses_per_split")
    let sizes = try numbered("classes_per_superclass")
    let titles = try numbered("superclass_names")
    guard splits.reduce(0, { $0 + $1.count }) == sizes.count, titles.count == sizes.count else {
      throw error("classes_per_superclass", "\(sizes.count) superclasses, and another number in splits or with names")
    }
    var (groups, counts): ([ClassSplits.Group], [(ClassSplit, Int)]) = ([], [])
    var (superclass, first) = (0, 0)
    for (split, count) in splits {
      let start = first
      for _ in 0..<count {
        let size = try self.count(sizes[superclass], "classes_per_superclass.\(superclass)")
        guard size <= names.count - first else {
          throw error("classes_per_superclass", "more classes than the \(names.count) of class_names")
        }
        let title = try text(titles[superclass], "superclass_names.\(superclass)")
        groups.append(.init(name: title, classes: Array(names[first..<first + size])))
        first += size
        superclass += 1
      }
      counts.append((split, first - start))
    }
    return (try classes(names, splits: counts.map { (split: $0.0, count: $0.1) }), .groups(groups))
  }

  /// The classes are the nodes without children; a node's are those that a way down leads to.
  func graphs(_ names: [String]) throws(MetaDatasetError) -> ([Class], ClassSplits.Hierarchy) {
    let graphs = try object(json["split_subgraphs"], "split_subgraphs")
    let images = try object(json["images_per_class"], "images_per_class")
    var numbers: [String: Int] = [:]
    for (number, name) in names.enumerated() { numbers[name] = number }
    var classes: [Int: Class] = [:]
    var spans: [String: [String]] = [:]
    for (splitName, split) in Self.splitNames {
      let key = "split_subgraphs.\(splitName)"
      let own = try object(images[splitName], "images_per_class.\(splitName)")
      var parents: [String: [String]] = [:]
      var (nodes, leaves): (Set<String>, [String]) = ([], [])
      for value in try array(graphs[splitName], key) {
        let node = try text(value["wn_id"], "\(key).wn_id")
        guard nodes.insert(node).inserted else { throw error(key, "node '\(node)' stands there twice") }
        let children = try array(value["children_ids"], "\(key).\(node).children_ids")
        if children.isEmpty { leaves.append(node) }
        for child in children { parents[try text(child, "\(key).\(node).children_ids"), default: []].append(node) }
      }
      if let unknown = parents.keys.filter({ !nodes.contains($0) }).sorted().first {
        throw error(key, "'\(unknown)' is the child of a node and no node itself")
      }
      for leaf in leaves.sorted() {
        guard let number = numbers[leaf] else {
          throw error(key, "'\(leaf)' has no children and is none of class_names")
        }
        let count = try count(own[leaf], "images_per_class.\(splitName).\(leaf)")
        guard classes.updateValue(Class(id: number, name: leaf, images: count, split: split), forKey: number) == nil
        else {
          throw error(key, "class '\(leaf)' is in another split too")
        }
        // Upwards from the leaf, each node once: a circle ends it too.
        var above: Set<String> = []
        var next = parents[leaf] ?? []
        while let node = next.popLast() {
          guard above.insert(node).inserted else { continue }
          spans[node, default: []].append(leaf)
          next += parents[node] ?? []
        }
      }
    }
    guard classes.count == names.count else {
      throw error("class_names", "\(names.count) names for \(classes.count) classes in split_subgraphs")
    }
    let nodes = DomainFolderReader.byCodePoint(spans.keys).map { ClassSplits.Group(name: $0, classes: spans[$0] ?? []) }
    return (classes.values.sorted { $0.id < $1.id }, .nodes(nodes))
  }
}
