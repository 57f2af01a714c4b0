/// Why a folder cannot serve as a set of tasks.
public enum TaskFolderError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A line of a list of images that cannot be used.
  public struct BadLine: Equatable, Sendable, CustomStringConvertible {
    /// `task/train800.txt`
    public let file: String
    /// Counted from 1.
    public let line: Int
    public let problem: String
    public init(file: String, line: Int, problem: String) {
      self.file = file
      self.line = line
      self.problem = problem
    }
    public var description: String { "\(file):\(line): \(problem)" }
  }

  case missing(root: String)
  case noTasks(root: String)
  case unknownTask(String, known: [String], nearest: String?)
  case namedTwice(String)
  case options
  case missingList(String, task: String)
  case unreadableList(String, reason: String)
  /// Every line of the task's lists that is not right.
  case lines([BadLine])
  case classNames(file: String, problem: String)
  case noClasses(task: String)
  case oneClass(task: String, name: String)
  case emptyClass(String, folder: String)
  case classesDiffer(task: String, onlyInTrain: [String], onlyInTest: [String])
  /// Two parts share an image.
  case overlap(task: String, image: String, and: String)
  case unionDiffers(task: String, missing: Int, extra: Int)
  case tooFew(task: String, images: Int)

  public var description: String {
    switch self {
    case .missing(let root): "There is no folder '\(root)'. Give the folder that holds one folder per task."
    case .noTasks(let root):
      "'\(root)' has no tasks. It should hold one folder per task, with lists of images or with folders of classes."
    case .unknownTask(let name, let known, let nearest):
      "There is no task '\(name)'.\(nearest.map { " Did you mean '\($0)'?" } ?? "") The tasks are \(quoted(known))."
    case .namedTwice(let name): "The task '\(name)' is named twice. Name each once."
    case .options:
      "Give 1 or more images for training, validation and test, and a share for the test above 0 and below 1."
    case .missingList(let name, let task):
      """
      Task '\(task)' has lists of images, but no '\(name)'. Lists are train800.txt, val200.txt and test.txt; remove \
      them all to have the splits drawn from folders of classes.
      """
    case .unreadableList(let file, let reason): "'\(file)' cannot be read: \(reason)."
    case .lines(let lines):
      """
      \(lines.count) lines of lists of images cannot be used:
      \(lines.prefix(20).map { "  \($0)" }.joined(separator: "\n"))\
      \(lines.count > 20 ? "\n  and \(lines.count - 20) more" : "")
      A line is 'path label', the path relative to the task's folder, the label a number from 0.
      """
    case .classNames(let file, let problem): "'\(file)' \(problem). It should hold the name of one class a line."
    case .noClasses(let task):
      "Task '\(task)' has neither lists of images nor folders of classes. Remove the folder if it is not a task."
    case .oneClass(let task, let name):
      "Task '\(task)' has only the class '\(name)'. A task needs two classes or more."
    case .emptyClass(let name, let folder):
      "Class '\(name)' in '\(folder)' has no image. Images end in .jpg, .jpeg, .png or .webp."
    case .classesDiffer(let task, let onlyInTrain, let onlyInTest):
      """
      The folders train and test of task '\(task)' do not have the same classes: only in train \(quoted(onlyInTrain)); \
      only in test \(quoted(onlyInTest)). Add or rename the folders.
      """
    case .overlap(let task, let image, let other):
      """
      Two parts of task '\(task)' share an image: '\(image)' and '\(other)' are one file. Training, validation and test \
      must not overlap.
      """
    case .unionDiffers(let task, let missing, let extra):
      """
      train800val200.txt of task '\(task)' is not what train800.txt and val200.txt list together: \(missing) images are \
      missing, \(extra) are in neither. Remove it, or mend it.
      """
    case .tooFew(let task, let images):
      "Task '\(task)' has \(images) images, too few for training, validation and test. Add some."
    }
  }
}
