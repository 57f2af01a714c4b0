/// Why data sets in Meta-Dataset's format cannot be read.
public enum MetaDatasetError: Error, Equatable, Sendable, CustomStringConvertible {
  case specification(String, key: String, problem: String)
  case noDatasets(root: String)
  case unknownDataset(String, known: [String], suggestion: String)
  case wrongCount(file: String, className: String, expected: Int, found: Int)
  /// A record without the feature, or with one of another type or length.
  case feature(String, file: String, offset: Int, found: String)
  case wrongLabel(file: String, offset: Int, expected: Int, found: Int64)

  public var description: String {
    switch self {
    case .specification(let file, let key, let problem):
      "'\(file)', \"\(key)\": \(problem). Write the specification again with Meta-Dataset's converter."
    case .noDatasets(let root):
      """
      '\(root)' has no data sets. It should hold one folder for each, with \(MetaDatasetSpecification.fileName) and \
      one file of records for each class, 0.tfrecords and so on.
      """
    case .unknownDataset(let name, let known, let suggestion):
      "There is no data set '\(name)'.\(suggestion) The data sets are \(quoted(known))."
    case .wrongCount(let file, let name, let expected, let found):
      """
      '\(file)' has \(found) records, and \(MetaDatasetSpecification.fileName) says \(expected) for its class \
      '\(name)'. Copy or convert the data set again.
      """
    case .feature(let name, let file, let offset, let found):
      """
      '\(file)', byte \(offset): the record has \(found) for '\(name)'. \
      Meta-Dataset's have an image, in bytes, and a label.
      """
    case .wrongLabel(let file, let offset, let expected, let found):
      """
      '\(file)', byte \(offset): the record has the label \(found) in the file of class \(expected). \
      Convert the data set again.
      """
    }
  }
}
