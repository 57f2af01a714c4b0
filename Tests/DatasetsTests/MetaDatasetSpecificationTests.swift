import Formats
import Testing

@testable import Datasets

@Suite struct MetaDatasetSpecificationTests {
  private let plain = """
    {"name": "p", "file_pattern": "{}.tfrecords", "classes_per_split": {"TRAIN": 1, "VALID": 0, "TEST": 2},
     "images_per_class": {"0": 5, "1": 6, "2": 7}, "class_names": {"0": "a", "1": "b", "2": "a"}}
    """
  private let grouped = """
    {"name": "g", "file_pattern": "{}.tfrecords", "superclasses_per_split": {"TRAIN": 1, "VALID": 0, "TEST": 1},
     "classes_per_superclass": {"0": 1, "1": 2}, "superclass_names": {"0": "x", "1": "y"},
     "images_per_class": {"0": 5, "1": 6, "2": 7}, "class_names": {"0": "a", "1": "b", "2": "c"}}
    """
  private let graph = """
    {"name": "h", "file_pattern": "{}.tfrecords", "class_names": {"0": "n1", "1": "n2"},
     "images_per_class": {"TRAIN": {"n1": 5}, "VALID": {}, "TEST": {"n2": 6}},
     "split_subgraphs": {"TRAIN": [{"wn_id": "n0", "children_ids": ["n1"]}, {"wn_id": "n1", "children_ids": []}],
       "VALID": [], "TEST": [{"wn_id": "n2", "children_ids": []}]}}
    """

  private func read(_ text: String) throws -> MetaDatasetSpecification {
    try MetaDatasetSpecification(json: JSONValue(parsing: text), file: "f")
  }

  private func problem(_ text: String, _ old: String, _ new: String) throws -> String {
    #expect(text.contains(old))
    let changed = text.replacing(old, with: new)
    let error = #expect(throws: MetaDatasetError.self) { try read(changed) }
    guard case .specification("f", let key, let problem) = error else { return "\(String(describing: error))" }
    return "\(key): \(problem)"
  }

  @Test func `the three kinds, and names that are not unique`() throws {
    #expect(
      try read(plain).classes == [
        .init(id: 0, name: "a (0)", images: 5, split: .training), .init(id: 1, name: "b", images: 6, split: .test),
        .init(id: 2, name: "a (2)", images: 7, split: .test),
      ])
    #expect(try read(plain).hierarchy == nil)
    #expect(try read(grouped).classes.map(\.split) == [.training, .test, .test])
    #expect(
      try read(grouped).hierarchy
        == .groups([.init(name: "x", classes: ["a"]), .init(name: "y", classes: ["b", "c"])]))
    #expect(try read(graph).classes.map(\.images) == [5, 6])
    #expect(try read(graph).hierarchy == .nodes([.init(name: "n0", classes: ["n1"])]))
  }

  @Test func `what is missing, of another type or does not fit is refused, by its key`() throws {
    #expect(try problem(plain, #""name": "p""#, #""name": 1"#) == "name: a number where a string should be")
    #expect(try problem(plain, "{}.tf", "{}_{}.tf").hasPrefix("file_pattern: '{}_{}.tfrecords' is not read"))
    #expect(
      try problem(plain, #""TRAIN": 1"#, #""TRAIN": -1"#) == "classes_per_split.TRAIN: -1 where a count should be")
    #expect(
      try problem(plain, #""TRAIN": 1, "#, "") == "classes_per_split.TRAIN: nothing where a count should be")
    #expect(
      try problem(plain, #""TEST": 2"#, #""TEST": 9"#)
        == "class_names: 3 names for 10 classes in splits, 3 with a count of images")
    #expect(try problem(plain, #""2": 7"#, #""3": 7"#) == "images_per_class: 3 entries, and none for 2")
    #expect(
      try problem(plain, #""2": 7"#, #""2": {"train": 5, "test": 2}"#)
        == "images_per_class.2: classes whose images are divided themselves are not read")
    #expect(try problem(grouped, #""1": 2}"#, #""1": 3}"#).contains("more classes than the 3 of class_names"))
    #expect(try problem(grouped, #""TEST": 1"#, #""TEST": 2"#).contains("2 superclasses, and another number"))
    #expect(try problem(grouped, #""1": 2}"#, #""1": 1}"#).hasPrefix("class_names: 3 names for 2 classes"))
    #expect(try problem(graph, #"["n1"]"#, #"["n1", "n9"]"#).contains("'n9' is the child of a node and no node itself"))
    #expect(
      try problem(graph, #""1": "n2""#, #""1": "n3""#).contains("'n2' has no children and is none of class_names"))
    #expect(try problem(graph, #"{"n2": 6}"#, "{}").contains("nothing where a count should be"))
    #expect(try problem(graph, #""VALID": []"#, #""VALID": [{"wn_id": "n1", "children_ids": []}]"#).contains("VALID"))
    #expect(
      try problem(graph, #""VALID": []"#, #""VALID": 3"#) == "split_subgraphs.VALID: a number where a list should be")
  }

  @Test func `a graph that runs in a circle ends`() throws {
    let circle = graph.replacing(#"["n1"]}"#, with: #"["n1", "n5"]}, {"wn_id": "n5", "children_ids": ["n0"]}"#)
    #expect(
      try read(circle).hierarchy == .nodes([.init(name: "n0", classes: ["n1"]), .init(name: "n5", classes: ["n1"])]))
  }
}
