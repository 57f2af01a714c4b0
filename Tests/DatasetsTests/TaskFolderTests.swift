import Foundation
import Testing

@testable import Datasets

@Suite struct TaskFolderTests {
  private let root: TemporaryFolder

  init() throws { root = try TemporaryFolder() }

  /// Folders of classes with so many files each; what is in them is not read.
  private func images(_ counts: [String: Int], in folder: String) throws {
    for (name, count) in counts {
      for number in 0..<count { try root.write([UInt8(number & 255)], "\(folder)/\(name)/\(number).png") }
    }
  }

  private func list(_ text: String, _ path: String) throws { try root.write([UInt8](text.utf8), path) }

  /// Nine images of three classes: four to train on, two to validate with, three to test on.
  private func lists(_ task: String = "pets") throws {
    for number in 0..<9 { try root.write([UInt8(number)], "\(task)/images/\(number).jpg") }
    try list("images/0.jpg 0\nimages/1.jpg 1\nimages/2.jpg 2\nimages/3.jpg 0\n", "\(task)/train800.txt")
    try list("images/4.jpg 1\r\nimages/5.jpg 2\r\n", "\(task)/val200.txt")
    try list("images/6.jpg 0\nimages/7.jpg 1\nimages/8.jpg 2", "\(task)/test.txt")
  }

  private func paths(_ task: ClassificationTask, _ indices: [Int]) -> [String] {
    indices.map { task.folder.samples[$0].path }
  }

  // MARK: Lists

  @Test func `lists are read as they are`() throws {
    try lists()
    let task = try #require(try TaskFolder(at: root.url).tasks.first)
    #expect(task.name == "pets" && task.classes == ["0", "1", "2"])
    #expect(paths(task, task.training) == ["images/0.jpg", "images/3.jpg", "images/1.jpg", "images/2.jpg"])
    #expect(paths(task, task.validation) == ["images/4.jpg", "images/5.jpg"])
    #expect(paths(task, task.test) == ["images/6.jpg", "images/7.jpg", "images/8.jpg"])
    #expect(task.training.map { task.folder.samples[$0].label } == [0, 0, 1, 2])
    #expect(task.folder.domains == ["train", "test"] && task.folder.ranges == [0..<6, 6..<9])
    #expect(task.folder.root.lastPathComponent == "pets")
  }

  @Test func `classes may have names, more than are used`() throws {
    try lists()
    try list("cat\ndog\nbird\nfish\n", "pets/classes.txt")
    #expect(try TaskFolder(at: root.url).tasks[0].classes == ["cat", "dog", "bird", "fish"])
    try list("cat\ndog\n", "pets/classes.txt")
    let expected = TaskFolderError.classNames(file: "pets/classes.txt", problem: "has 2 names, and labels go to 2")
    #expect(throws: expected) { try TaskFolder(at: root.url) }
  }

  @Test func `every bad line is reported with its file and number`() throws {
    try lists()
    try root.makeFolder("pets/images/folder.jpg")
    try list(
      """
      images/0.jpg 0
      images/1.jpg
      images/99.jpg 1
      ../other/1.jpg 1
      images/1.jpg -1
      images/2.jpg 70000
      images/folder.jpg 1
      train800.txt 1
      images/0.jpg 0

      images/3.jpg 0
      """, "pets/train800.txt")
    let error = #expect(throws: TaskFolderError.self) { try TaskFolder(at: root.url) }
    guard case .lines(let lines) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(lines.map(\.line) == [2, 3, 4, 5, 6, 7, 8, 9, 10])
    #expect(lines.allSatisfy { $0.file == "pets/train800.txt" })
    #expect(lines[0].problem == "'images/1.jpg' does not end in a space and a number")
    #expect(lines[1].problem == "there is no image 'images/99.jpg'")
    #expect(lines[2].problem.contains("it holds '..'"))
    #expect(lines[3].problem == "the label -1 is not in 0 to 65535")
    #expect(lines[5].problem == "'images/folder.jpg' is not a file")
    #expect(lines[6].problem.contains("does not end in .jpg"))
    #expect(lines[7].problem == "'images/0.jpg' is listed twice")
    #expect(error?.description.contains("  pets/train800.txt:3: there is no image 'images/99.jpg'\n") == true)
  }

  @Test func `a link that leads out of the task is refused`() throws {
    try lists()
    let outside = try TemporaryFolder()
    let image = try outside.write([1], "secret.jpg")
    try FileManager.default.createSymbolicLink(
      atPath: root.url.appending(path: "pets/images/link.jpg").path, withDestinationPath: image)
    try list("images/link.jpg 0\n", "pets/val200.txt")
    let error = #expect(throws: TaskFolderError.self) { try TaskFolder(at: root.url) }
    #expect(error?.description.contains("pets/val200.txt:1:") == true)
    #expect(error?.description.contains("it is a symbolic link to") == true)
  }

  @Test func `parts that share an image are refused, by whatever name`() throws {
    try lists()
    try list("images/6.jpg 0\nimages/0.jpg 1\n", "pets/test.txt")
    #expect(throws: TaskFolderError.overlap(task: "pets", image: "images/0.jpg", and: "images/0.jpg")) {
      try TaskFolder(at: root.url)
    }
    try FileManager.default.createSymbolicLink(
      atPath: root.url.appending(path: "pets/images/again.jpg").path, withDestinationPath: "4.jpg")
    try list("images/6.jpg 0\nimages/again.jpg 1\n", "pets/test.txt")
    #expect(throws: TaskFolderError.overlap(task: "pets", image: "images/4.jpg", and: "images/again.jpg")) {
      try TaskFolder(at: root.url)
    }
  }

  @Test func `the list of both must be both`() throws {
    try lists()
    let both = "images/5.jpg 2\nimages/0.jpg 0\nimages/1.jpg 1\nimages/2.jpg 2\nimages/3.jpg 0\nimages/4.jpg 1\n"
    try list(both, "pets/train800val200.txt")
    #expect(try TaskFolder(at: root.url).tasks[0].training.count == 4)
    try list(both.replacing("images/5.jpg 2", with: "images/6.jpg 2"), "pets/train800val200.txt")
    #expect(throws: TaskFolderError.unionDiffers(task: "pets", missing: 1, extra: 1)) { try TaskFolder(at: root.url) }
  }

  @Test func `a list that is missing is named`() throws {
    try lists()
    try FileManager.default.removeItem(at: root.url.appending(path: "pets/val200.txt"))
    #expect(throws: TaskFolderError.missingList("val200.txt", task: "pets")) { try TaskFolder(at: root.url) }
  }

  @Test func `a list that is not text is refused`() throws {
    try lists()
    try root.write([0xFF, 0xFE, 0x00], "pets/test.txt")
    #expect(throws: TaskFolderError.unreadableList("pets/test.txt", reason: "it is not UTF-8")) {
      try TaskFolder(at: root.url)
    }
  }

  // MARK: Folders of classes

  @Test func `folders of classes are divided in the proportions of the classes`() throws {
    try images(["cat": 60, "dog": 30, "emu": 10], in: "zoo")
    let task = try TaskFolder(at: root.url, options: .init(training: 40, validation: 10)).tasks[0]
    func counts(_ indices: [Int]) -> [Int] {
      indices.reduce(into: [0, 0, 0]) { $0[task.folder.samples[$1].label] += 1 }
    }
    #expect(task.classes == ["cat", "dog", "emu"])
    #expect(counts(task.training) == [24, 12, 4])
    #expect(counts(task.validation) == [6, 3, 1])
    #expect(counts(task.test) == [30, 15, 5])
    #expect(Set(task.folder.samples.map(\.path)).count == 100)
  }

  @Test func `a small task keeps a share for testing, and both other parts shrink alike`() throws {
    try images(["cat": 60, "dog": 40], in: "zoo")
    let task = try TaskFolder(at: root.url).tasks[0]
    #expect(task.training.count == 60 && task.validation.count == 15 && task.test.count == 25)
    let half = try TaskFolder(at: root.url, options: .init(test: 20, testShare: 0.5)).tasks[0]
    #expect(half.training.count == 40 && half.validation.count == 10 && half.test.count == 20)
  }

  @Test func `a test set of its own is the test set`() throws {
    try images(["cat": 12, "dog": 12], in: "zoo/train")
    try images(["cat": 7, "dog": 3], in: "zoo/test")
    let task = try TaskFolder(at: root.url, options: .init(training: 8, validation: 4)).tasks[0]
    #expect(task.training.count == 8 && task.validation.count == 4 && task.test.count == 10)
    #expect(paths(task, task.test).allSatisfy { $0.hasPrefix("test/") })
    #expect(paths(task, task.training + task.validation).allSatisfy { $0.hasPrefix("train/") })
    #expect(task.classes == ["cat", "dog"])
  }

  @Test func `what is drawn depends on the seed and the name of the task alone`() throws {
    try images(["cat": 30, "dog": 30], in: "zoo")
    let options = TaskFolder.Options(training: 20, validation: 10, seed: 4)
    let alone = try TaskFolder(at: root.url, options: options).tasks[0]
    #expect(paths(alone, alone.training).prefix(4).joined(separator: " ") == Self.drawn)
    try images(["cat": 30, "dog": 30], in: "farm")
    let both = try TaskFolder(at: root.url, options: options)
    #expect(both.tasks.map(\.name) == ["farm", "zoo"])
    #expect(both.tasks[1] == alone)
    #expect(paths(both.tasks[0], both.tasks[0].training) != paths(alone, alone.training))
    let other = try TaskFolder(at: root.url, options: .init(training: 20, validation: 10, seed: 5), tasks: ["zoo"])
    #expect(paths(other.tasks[0], other.tasks[0].training) != paths(alone, alone.training))
  }

  /// Another draw would make results of one seed those of another.
  private static let drawn = "cat/3.png cat/0.png cat/9.png cat/25.png"

  @Test func `tasks can be chosen, in the order asked for`() throws {
    try images(["cat": 4, "dog": 4], in: "zoo")
    try images(["cat": 4, "dog": 4], in: "farm")
    try list("a note", "readme.txt")
    let folder = try TaskFolder(at: root.url, tasks: ["zoo", "farm"])
    #expect(folder.tasks.map(\.name) == ["zoo", "farm"])
    #expect(folder.ignoredFiles.map(\.path) == ["readme.txt"])
    #expect(throws: TaskFolderError.unknownTask("zooo", known: ["farm", "zoo"], nearest: "zoo")) {
      try TaskFolder(at: root.url, tasks: ["zooo"])
    }
    #expect(throws: TaskFolderError.namedTwice("zoo")) { try TaskFolder(at: root.url, tasks: ["zoo", "zoo"]) }
  }

  @Test func `what is not used is listed`() throws {
    try images(["cat": 8, "dog": 8], in: "zoo")
    try list("x", "zoo/cat/notes.txt")
    try list("x", "zoo/about.md")
    #expect(
      try TaskFolder(at: root.url).ignoredFiles.map(\.description) == [
        "zoo/about.md: not in a class folder",
        "zoo/cat/notes.txt: its name does not end in .jpg, .jpeg, .png or .webp",
      ])
  }

  @Test func `folders that are no tasks are refused`() throws {
    #expect(throws: TaskFolderError.noTasks(root: root.url.path)) { try TaskFolder(at: root.url) }
    #expect(throws: TaskFolderError.missing(root: root.url.path + "/none")) {
      try TaskFolder(at: root.url.appending(path: "none"))
    }
    try root.makeFolder("zoo")
    #expect(throws: TaskFolderError.noClasses(task: "zoo")) { try TaskFolder(at: root.url) }
    try images(["cat": 8], in: "zoo")
    #expect(throws: TaskFolderError.oneClass(task: "zoo", name: "cat")) { try TaskFolder(at: root.url) }
    try root.makeFolder("zoo/dog")
    #expect(throws: TaskFolderError.emptyClass("dog", folder: "zoo")) { try TaskFolder(at: root.url) }
  }

  @Test func `train and test must have the same classes`() throws {
    try images(["cat": 8, "dog": 8], in: "zoo/train")
    try images(["cat": 8, "emu": 8], in: "zoo/test")
    #expect(throws: TaskFolderError.classesDiffer(task: "zoo", onlyInTrain: ["dog"], onlyInTest: ["emu"])) {
      try TaskFolder(at: root.url)
    }
  }

  @Test func `too few images for three parts are refused`() throws {
    try images(["cat": 1, "dog": 1], in: "zoo")
    #expect(throws: TaskFolderError.tooFew(task: "zoo", images: 2)) { try TaskFolder(at: root.url) }
  }
}
