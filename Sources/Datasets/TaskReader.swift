import Formats
import Foundation

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Reads one task of a `TaskFolder`.
struct TaskReader {
  let name: String
  let folder: URL
  let options: TaskFolder.Options

  /// Images of the three parts, by class.
  private struct Parts {
    var classes: [String]
    var training: [[String]]
    var validation: [[String]]
    var test: [[String]]
  }

  private static let lists = (training: "train800.txt", validation: "val200.txt", test: "test.txt")
  private static let union = "train800val200.txt"
  private static let classNames = "classes.txt"
  /// Of a list: a million lines of a hundred bytes.
  private static let maximumBytes = 100 << 20
  /// A mistyped label must not become a classifier of millions of rows.
  private static let labels = 0..<65_536

  func read() throws -> (task: ClassificationTask, ignored: [DomainFolder.IgnoredFile]) {
    let isListed = hasLists
    let found = try isListed ? (listed(), []) : drawn()
    var parts = found.0
    if let most = options.test {
      let quotas = StratifiedDraw.quotas(most, of: parts.test.map(\.count))
      // Listed images come in the order of their lists, which may mean something.
      if isListed { parts.test = shuffled(parts.test, for: .test) }
      parts.test = StratifiedDraw.divide(parts.test, by: quotas).taken
    }
    try checkOverlap(parts)
    return (try task(parts), found.1.map { .init(path: "\(name)/\($0.path)", reason: $0.reason) })
  }

  private func task(_ parts: Parts) throws -> ClassificationTask {
    if parts.classes.count == 1 { throw TaskFolderError.oneClass(task: name, name: parts.classes[0]) }
    var samples: [DomainFolder.Sample] = []
    func add(_ images: [[String]], to domain: Int) -> Range<Int> {
      let start = samples.count
      for (label, paths) in images.enumerated() {
        samples += paths.map { DomainFolder.Sample(path: $0, domain: domain, label: label) }
      }
      return start..<samples.count
    }
    let training = add(parts.training, to: 0)
    let validation = add(parts.validation, to: 0)
    let test = add(parts.test, to: 1)
    guard !training.isEmpty, !validation.isEmpty, !test.isEmpty else {
      throw TaskFolderError.tooFew(task: name, images: samples.count)
    }
    let data = DomainFolder(
      root: folder, domains: ClassificationTask.domains, classes: parts.classes, samples: samples, ignoredFiles: [],
      ranges: [0..<validation.upperBound, test])
    return ClassificationTask(name: name, folder: data, training: Array(training), validation: Array(validation))
  }

  // MARK: Lists

  private var hasLists: Bool {
    [Self.lists.training, Self.lists.validation, Self.lists.test, Self.union].contains { exists($0) }
  }

  private func exists(_ list: String) -> Bool {
    FileManager.default.fileExists(atPath: folder.appendingPathComponent(list).path)
  }

  private struct Entry: Hashable {
    var path: String
    var label: Int
  }

  private func listed() throws -> Parts {
    var problems: [TaskFolderError.BadLine] = []
    let training = try entries(Self.lists.training, &problems)
    let validation = try entries(Self.lists.validation, &problems)
    let test = try entries(Self.lists.test, &problems)
    let union = exists(Self.union) ? try entries(Self.union, &problems) : nil
    guard problems.isEmpty else { throw TaskFolderError.lines(problems) }
    if let union {
      let (both, listed) = (Set(training).union(validation), Set(union))
      guard both == listed else {
        throw TaskFolderError.unionDiffers(
          task: name, missing: both.subtracting(listed).count, extra: listed.subtracting(both).count)
      }
    }
    let count = (training + validation + test).reduce(0) { max($0, $1.label + 1) }
    let classes = try names(ofClasses: count)
    func byClass(_ entries: [Entry]) -> [[String]] {
      var images = [[String]](repeating: [], count: classes.count)
      for entry in entries { images[entry.label].append(entry.path) }
      return images
    }
    return Parts(
      classes: classes, training: byClass(training), validation: byClass(validation), test: byClass(test))
  }

  private func text(_ list: String) throws -> String {
    let shown = "\(name)/\(list)"
    let url = folder.appendingPathComponent(list)
    do {
      let size = try url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
      guard size <= Self.maximumBytes else {
        throw TaskFolderError.unreadableList(shown, reason: "it has more than \(Self.maximumBytes >> 20) MiB")
      }
      guard let text = String(bytes: try Data(contentsOf: url), encoding: .utf8) else {
        throw TaskFolderError.unreadableList(shown, reason: "it is not UTF-8")
      }
      return text
    } catch let error as TaskFolderError {
      throw error
    } catch {
      throw TaskFolderError.unreadableList(shown, reason: (error as NSError).localizedDescription)
    }
  }

  /// The lines of a file, without the empty one after the last newline.
  private func lines(_ text: String) -> [Substring] {
    var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines
  }

  private func entries(_ list: String, _ problems: inout [TaskFolderError.BadLine]) throws -> [Entry] {
    guard exists(list) else { throw TaskFolderError.missingList(list, task: name) }
    var entries: [Entry] = []
    var seen: Set<String> = []
    for (number, line) in lines(try text(list)).enumerated() {
      func refuse(_ problem: String) {
        problems.append(.init(file: "\(name)/\(list)", line: number + 1, problem: problem))
      }
      guard let space = line.lastIndex(of: " "), let label = Int(line[line.index(after: space)...]) else {
        refuse("'\(line.prefix(200))' does not end in a space and a number")
        continue
      }
      let path = String(line[..<space])
      guard Self.labels.contains(label) else {
        refuse("the label \(label) is not in \(Self.labels.lowerBound) to \(Self.labels.upperBound - 1)")
        continue
      }
      if let problem = problem(withImage: path) {
        refuse(problem)
        continue
      }
      guard seen.insert(path).inserted else {
        refuse("'\(path)' is listed twice")
        continue
      }
      entries.append(Entry(path: path, label: label))
    }
    return entries
  }

  private func problem(withImage path: String) -> String? {
    do throws(ContainedPathError) {
      let image = try ContainedPath.resolve(path, in: folder)
      var status = stat()
      guard stat(image.path, &status) == 0 else { return "there is no image '\(path)'" }
      guard status.st_mode & S_IFMT == S_IFREG else { return "'\(path)' is not a file" }
      guard DomainFolder.imageExtensions.contains(image.pathExtension.lowercased()) else {
        return "the name of '\(path)' does not end in .jpg, .jpeg, .png or .webp"
      }
      return nil
    } catch {
      return error.description
    }
  }

  private func names(ofClasses count: Int) throws -> [String] {
    guard exists(Self.classNames) else { return (0..<count).map(String.init) }
    let file = "\(name)/\(Self.classNames)"
    let names = lines(try text(Self.classNames)).map { $0.trimmingCharacters(in: .whitespaces) }
    guard names.count >= count else {
      throw TaskFolderError.classNames(file: file, problem: "has \(names.count) names, and labels go to \(count - 1)")
    }
    guard !names.contains("") else { throw TaskFolderError.classNames(file: file, problem: "has an empty line") }
    guard Set(names).count == names.count else {
      throw TaskFolderError.classNames(file: file, problem: "has a name twice")
    }
    return names
  }

  // MARK: Folders of classes

  private func drawn() throws -> (Parts, [DomainFolder.IgnoredFile]) {
    var reader = DomainFolderReader(root: folder, options: .init())
    let folders = try reader.folders(in: "", ignoring: "not in a class folder")
    guard !folders.isEmpty else { throw TaskFolderError.noClasses(task: name) }
    let parts = folders == ["test", "train"] ? try twoTrees(&reader) : try oneTree(folders, &reader)
    return (parts, reader.ignored)
  }

  private func images(_ classes: [String], in folder: String, _ reader: inout DomainFolderReader) throws -> [[String]] {
    try classes.map { label in
      let path = folder.isEmpty ? label : "\(folder)/\(label)"
      do {
        return try reader.images(in: path, domain: folder, class: label)
      } catch DomainFolderError.emptyClass {
        throw TaskFolderError.emptyClass(label, folder: folder.isEmpty ? name : "\(name)/\(folder)")
      }
    }
  }

  private func twoTrees(_ reader: inout DomainFolderReader) throws -> Parts {
    let classes = try reader.folders(in: "train", ignoring: "not in a class folder")
    let tested = try reader.folders(in: "test", ignoring: "not in a class folder")
    guard classes == tested else {
      throw TaskFolderError.classesDiffer(
        task: name, onlyInTrain: classes.filter { !tested.contains($0) },
        onlyInTest: tested.filter { !classes.contains($0) })
    }
    guard !classes.isEmpty else { throw TaskFolderError.noClasses(task: name) }
    let pool = shuffled(try images(classes, in: "train", &reader), for: .training)
    let test = shuffled(try images(classes, in: "test", &reader), for: .test)
    return split(classes, pool, test)
  }

  private func oneTree(_ classes: [String], _ reader: inout DomainFolderReader) throws -> Parts {
    let all = shuffled(try images(classes, in: "", &reader), for: .training)
    let counts = all.map(\.count)
    let total = counts.reduce(0, +)
    let left = Int((Double(total) * options.testShare).rounded(.up))
    let wanted = min(options.training + options.validation, total - left)
    let (pool, test) = StratifiedDraw.divide(all, by: StratifiedDraw.quotas(wanted, of: counts))
    return split(classes, pool, test)
  }

  /// The pool divided into training and validation, both smaller in proportion where it does not suffice.
  private func split(_ classes: [String], _ pool: [[String]], _ test: [[String]]) -> Parts {
    let available = pool.reduce(0) { $0 + $1.count }
    let both = options.training + options.validation
    let training =
      available >= both
      ? options.training : Int((Double(available) * Double(options.training) / Double(both)).rounded())
    let chosen = StratifiedDraw.divide(pool, by: StratifiedDraw.quotas(min(both, available), of: pool.map(\.count)))
      .taken
    let parts = StratifiedDraw.divide(chosen, by: StratifiedDraw.quotas(training, of: chosen.map(\.count)))
    return Parts(classes: classes, training: parts.taken, validation: parts.rest, test: test)
  }

  /// The images of each class in an order that the seed, the task's name and the class decide.
  private func shuffled(_ images: [[String]], for part: RandomStream) -> [[String]] {
    let task = Array(name.utf8).withUnsafeBytes { XXH64.hash($0) }
    return images.enumerated().map { label, paths in
      var generator = Xoshiro256(seed: options.seed, stream: part.rawValue, task, UInt64(label))
      var paths = paths
      generator.shuffle(&paths)
      return paths
    }
  }

  private enum RandomStream: UInt64 { case training = 1, test = 2 }

  // MARK: Overlap

  private func checkOverlap(_ parts: Parts) throws {
    struct File: Hashable {
      var device: UInt64
      var node: UInt64
    }
    var owners: [File: (part: Int, path: String)] = [:]
    for (part, images) in [parts.training, parts.validation, parts.test].enumerated() {
      for path in images.joined() {
        var status = stat()
        guard stat("\(folder.path)/\(path)", &status) == 0 else { continue }
        let file = File(
          device: UInt64(truncatingIfNeeded: status.st_dev), node: UInt64(truncatingIfNeeded: status.st_ino))
        if let owner = owners[file], owner.part != part {
          throw TaskFolderError.overlap(task: name, image: owner.path, and: path)
        }
        owners[file] = (part, path)
      }
    }
  }
}
