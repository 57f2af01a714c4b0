/// One task: its images, and which of them to train on, to validate with and to test on.
public struct ClassificationTask: Sendable, Hashable {
  /// The name of its folder.
  public let name: String
  /// The images as a data set of two domains, `train` (what is trained on or validated with) and `test`, for caches, scans
  /// and loaders; its root is the task's folder.
  public let folder: DomainFolder
  /// What to train on while settings are chosen: indices of the folder's samples.
  public let training: [Int]
  /// What to choose settings by.
  public let validation: [Int]

  public var classes: [String] { folder.classes }
  /// What the result is measured on.
  public var test: [Int] { Array(folder.ranges[1]) }

  static let domains = ["train", "test"]
}
