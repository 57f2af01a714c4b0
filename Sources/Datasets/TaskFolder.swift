import Formats
import Foundation

/// A folder of classification tasks, `root/task/…`, each with images to train on, to validate with and to test on.
///
/// The layout of VTAB-1k (Zhai et al. 2019, "A Large-scale Study of Representation Learning with the Visual Task Adaptation
/// Benchmark", arXiv:1910.04867) as it is distributed, or plain folders of classes. For each task one of:
///
/// | in the task's folder | training and validation | test |
/// |---|---|---|
/// | `train800.txt`, `val200.txt`, `test.txt`, and `train800val200.txt` where there is one | as listed | as listed |
/// | `train/class/image` and `test/class/image` | drawn from `train` | `test` |
/// | `class/image` | drawn | what is left |
///
/// A line of a list is `path label`: the path of an image relative to the task's folder, and the number of its class,
/// counted from 0. `classes.txt` beside them names the classes, one a line; without it their numbers are their names.
///
/// What is drawn depends on the seed and the task's name alone and keeps the proportions of the classes, to one image. No image is in two
/// of the three parts: the files themselves are compared, so that a link to an image is that image.
public struct TaskFolder: Sendable, Hashable {
  public struct Options: Sendable, Hashable {
    /// Images to train on while settings are chosen, where they are drawn; fewer where the task has fewer.
    public var training = 800
    /// Images to choose settings by, where they are drawn; with fewer images than both need, both shrink alike.
    public var validation = 200
    /// The most images to test on, drawn in the proportions of the classes; nil for all.
    public var test: Int?
    /// The fraction of a task of plain classes that is left for testing at least, 0...1.
    public var testShare = 0.25
    /// Seeds what is drawn.
    public var seed: UInt64 = 0

    public init(
      training: Int = 800, validation: Int = 200, test: Int? = nil, testShare: Double = 0.25, seed: UInt64 = 0
    ) {
      self.training = training
      self.validation = validation
      self.test = test
      self.testShare = testShare
      self.seed = seed
    }
  }

  public let root: URL
  /// Sorted by name, or in the order asked for.
  public let tasks: [ClassificationTask]
  /// What was found and not used, relative to the root.
  public let ignoredFiles: [DomainFolder.IgnoredFile]

  /// Lists the folder and draws the splits; reads no image.
  ///
  /// - Parameter names: the tasks to read; nil for every folder there is.
  /// - Throws: `TaskFolderError`; `DomainFolderError` where a folder cannot be listed or a link leads out of a task.
  public init(at root: URL, options: Options = Options(), tasks names: [String]? = nil) throws {
    guard (1...1_000_000_000).contains(options.training), (1...1_000_000_000).contains(options.validation),
      (1...1_000_000_000).contains(options.test ?? 1),
      options.testShare > 0, options.testShare < 1
    else { throw TaskFolderError.options }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: root.path, isDirectory: &isFolder), isFolder.boolValue else {
      throw TaskFolderError.missing(root: root.path)
    }
    var reader = DomainFolderReader(root: root, options: .init())
    let found = try reader.folders(in: "", ignoring: "not in a task's folder")
    guard !found.isEmpty else { throw TaskFolderError.noTasks(root: root.path) }
    var tasks: [ClassificationTask] = []
    var ignored = reader.ignored
    for name in names ?? found {
      guard found.contains(name) else {
        throw TaskFolderError.unknownTask(
          name, known: found, nearest: Suggestion.closest(to: name, among: found).first)
      }
      guard !tasks.contains(where: { $0.name == name }) else { throw TaskFolderError.namedTwice(name) }
      let task = TaskReader(name: name, folder: root.appendingPathComponent(name, isDirectory: true), options: options)
      let (read, unused) = try task.read()
      tasks.append(read)
      ignored += unused
    }
    guard !tasks.isEmpty else { throw TaskFolderError.noTasks(root: root.path) }
    self.root = root
    self.tasks = tasks
    ignoredFiles = ignored
  }
}
