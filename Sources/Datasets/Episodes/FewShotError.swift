/// Why the classes of data sets cannot be divided for few-shot episodes, or a part of them not be had.
public enum FewShotError: Error, Equatable, Sendable, CustomStringConvertible {
  case fractions(training: Double, validation: Double)
  case malformed(String, dataset: String?, file: String, expected: String, found: String)
  case unknownKey(String, dataset: String, file: String, suggestion: String)
  case unknownDataset(String, file: String?, known: [String], suggestion: String)
  case unknownClass(String, dataset: String, file: String, suggestion: String)
  case repeatedClass(String, dataset: String, file: String, first: String, second: String)
  case twoHierarchies(dataset: String, file: String)
  case twoFiles(dataset: String, first: String, second: String)
  case noClasses(ClassSplit, datasets: [String])

  public var description: String {
    switch self {
    case .fractions(let training, let validation):
      """
      Of the classes, \(training) cannot be for training and \(validation) for validation. Give fractions of 0 or \
      more that are at most 1 together; the rest is for testing.
      """
    case .malformed(let key, let dataset, let file, let expected, let found):
      """
      '\(file)'\(dataset.map { ", data set '\($0)'" } ?? "")\(key.isEmpty ? "" : ", \"\(key)\""): \(found) where \
      \(expected) should be. A data set's splits read {"training": [...], "validation": [...], "test": [...]}.
      """
    case .unknownKey(let key, let dataset, let file, let suggestion):
      """
      '\(file)' has "\(key)" for data set '\(dataset)', which means nothing.\(suggestion) The keys are training, \
      validation, test, groups and nodes.
      """
    case .unknownDataset(let name, let file, let known, let suggestion):
      """
      There is no data set '\(name)'\(file.map { ", which '\($0)' names" } ?? "").\(suggestion) The data sets are \
      \(quoted(known)).
      """
    case .unknownClass(let name, let dataset, let file, let suggestion):
      """
      '\(file)' names '\(name)', a class that data set '\(dataset)' does not have, or has no example of.\(suggestion) \
      Correct the name, or take it out.
      """
    case .repeatedClass(let name, let dataset, let file, let first, let second):
      """
      '\(file)' has class '\(name)' of data set '\(dataset)' \
      \(first == second ? "twice in \(first)" : "in \(first) and in \(second)"). Keep it in one place.
      """
    case .twoHierarchies(let dataset, let file):
      "'\(file)' has both groups and nodes for data set '\(dataset)'. Keep one of them."
    case .twoFiles(let dataset, let first, let second):
      "Data set '\(dataset)' is divided by '\(first)' and by '\(second)'. Keep it in one of the files."
    case .noClasses(let split, let datasets):
      """
      \(datasets.count == 1 ? "Data set" : "Data sets") \(quoted(datasets)) \(datasets.count == 1 ? "has" : "have") no \
      \(split.rawValue) classes. Choose another split or data set, or change the splits.
      """
    }
  }
}
