/// A test of few-shot tasks that cannot be made.
public enum MetaTestError: Error, Equatable, CustomStringConvertible {
  case noDatasets
  case episodes(Int)
  case steps(Int)
  case rate(Double)
  case rateFactor(Double)
  case noCandidates
  case folds(Int)
  case searchEpisodes(Int)
  case nothingTrains(method: String)
  case unusable(example: Int, dataset: String)
  case otherBackbone(expected: String, found: String)
  case lengths(inputs: Int, expected: Int)
  /// A model was trained on classes that it would be tested on, or chosen by them.
  case seenClasses(row: String, dataset: String, classes: [String])

  public var description: String {
    switch self {
    case .noDatasets: "There is no data set to test on. Name at least one."
    case .episodes(let count): "A test of \(count) episodes measures nothing. Ask for 1 or more; 600 are usual."
    case .steps(let count): "Fine-tuning takes \(count) steps. Ask for 1 or more, or for a test without gradients."
    case .rate(let rate): "A learning rate cannot be \(rate). It is 0, for no tuning, or above."
    case .rateFactor(let factor):
      "Learning rates cannot be multiplied by \(factor). Give a factor above 0; 1 takes them as they are."
    case .noCandidates: "There is no learning rate to choose from. Give at least one candidate."
    case .folds(let count): "A support set cannot be divided into \(count) folds. Give 2 or more."
    case .searchEpisodes(let count): "A rate cannot be searched on \(count) episodes. Give 1 or more; 5 are usual."
    case .nothingTrains(let method): "'\(method)' has nothing that trains on a task. Choose another method."
    case .unusable(let example, let dataset):
      """
      Example \(example), in an episode of data set '\(dataset)', cannot be read. Draw episodes of usable examples only, or mend the \
      file.
      """
    case .otherBackbone(let expected, let found):
      """
      The rows of one test share a backbone: this one is of \(found.prefix(12))…, and the frozen features are of \
      \(expected.prefix(12))…. Test it apart.
      """
    case .lengths(let inputs, let expected):
      "An episode has \(inputs) inputs where \(expected) belong. The examples changed."
    case .seenClasses(let row, let dataset, let classes):
      """
      '\(row)' was trained on \(classes.count) of the classes that data set '\(dataset)' would be tested on, or chosen by them: \
      \(classes.prefix(3).map { "'\($0)'" }.joined(separator: ", "))\(classes.count > 3 ? ", …" : ""). Test on classes of \
      another split, divide the classes as they were in its training, or leave the data set out.
      """
    }
  }
}
