import Foundation

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Walks `root/domain/class/image`, exactly three levels deep: links cannot make it run in circles.
struct DomainFolderReader {
  private enum Kind { case folder, file, other }

  private struct Entry {
    var name: String
    var kind: Kind
  }

  private let root: URL
  private let options: DomainFolder.Options
  private let resolvedRoot: String
  private(set) var ignored: [DomainFolder.IgnoredFile] = []

  init(root: URL, options: DomainFolder.Options) {
    self.root = root
    self.options = options
    resolvedRoot = Self.resolved(root.path) ?? root.path
  }

  func read() throws(DomainFolderError) -> DomainFolder {
    var reader = self
    return try reader.folder()
  }

  private mutating func folder() throws(DomainFolderError) -> DomainFolder {
    var status = stat()
    guard stat(root.path, &status) == 0 else { throw .missing(root: root.path) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw .notAFolder(root: root.path) }

    let domains = try folders(in: "", ignoring: "not in a domain folder")
    guard !domains.isEmpty else { throw .noDomains(root: root.path) }
    var classesOfDomain: [[String]] = []
    for domain in domains {
      let classes = try folders(in: domain, ignoring: "not in a class folder")
      guard !classes.isEmpty else { throw .noClasses(domain: domain, root: root.path) }
      classesOfDomain.append(classes)
    }
    let classes = Self.byCodePoint(Set(classesOfDomain.joined()))
    if !options.allowsMissingClasses { try checkAgreement(domains, classesOfDomain, classes) }

    var samples: [DomainFolder.Sample] = []
    var ranges: [Range<Int>] = []
    for (domain, name) in domains.enumerated() {
      let start = samples.count
      let present = Set(classesOfDomain[domain])
      for (label, className) in classes.enumerated() where present.contains(className) {
        let images = try images(in: "\(name)/\(className)", domain: name, class: className)
        samples += images.map { DomainFolder.Sample(path: $0, domain: domain, label: label) }
      }
      ranges.append(start..<samples.count)
    }
    return DomainFolder(
      root: root, domains: domains, classes: classes, samples: samples, ignoredFiles: ignored, ranges: ranges)
  }

  private func checkAgreement(
    _ domains: [String], _ classesOfDomain: [[String]], _ classes: [String]
  ) throws(DomainFolderError) {
    let differences = zip(domains, classesOfDomain).compactMap { domain, own in
      let present = Set(own)
      let missing = classes.filter { !present.contains($0) }
      return missing.isEmpty ? nil : DomainFolderError.ClassDifference(domain: domain, missing: missing)
    }
    guard differences.isEmpty else { throw .classesDiffer(differences, root: root.path) }
  }

  /// The folders in `path`, sorted; whatever else is there goes to `ignored`.
  mutating func folders(in path: String, ignoring reason: String) throws(DomainFolderError) -> [String] {
    var names: [String] = []
    for entry in try entries(in: path) {
      if entry.kind == .folder {
        names.append(entry.name)
      } else {
        ignore(Self.join(path, entry.name), entry.kind == .file ? reason : "neither a file nor a folder")
      }
    }
    return names
  }

  /// The folders and files in `path`, each sorted.
  mutating func listing(in path: String) throws(DomainFolderError) -> (folders: [String], files: [String]) {
    var (folders, files): ([String], [String]) = ([], [])
    for entry in try entries(in: path) {
      switch entry.kind {
      case .folder: folders.append(entry.name)
      case .file: files.append(entry.name)
      case .other: ignore(Self.join(path, entry.name), "neither a file nor a folder")
      }
    }
    return (folders, files)
  }

  mutating func images(
    in path: String, domain: String, class name: String
  ) throws(DomainFolderError) -> [String] {
    var found: [String] = []
    let before = ignored.count
    for entry in try entries(in: path) {
      let file = Self.join(path, entry.name)
      switch entry.kind {
      case .folder: ignore(file, "a folder inside a class folder")
      case .other: ignore(file, "neither a file nor a folder")
      case .file:
        let suffix = entry.name.split(separator: ".", omittingEmptySubsequences: false).dropFirst().last
        if let suffix, DomainFolder.imageExtensions.contains(suffix.lowercased()) {
          found.append(file)
        } else {
          ignore(file, "its name does not end in .jpg, .jpeg, .png or .webp")
        }
      }
    }
    if found.isEmpty, !options.allowsMissingClasses {
      throw .emptyClass(name, domain: domain, ignored: ignored.count - before, root: root.path)
    }
    return found
  }

  /// What `path` holds, sorted by code point, links followed. Hidden entries and broken links go to `ignored`.
  private mutating func entries(in path: String) throws(DomainFolderError) -> [Entry] {
    let full = Self.join(root.path, path)
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: full)
    } catch {
      throw .unreadable(path: full, reason: (error as NSError).localizedDescription)
    }
    var entries: [Entry] = []
    for name in Self.byCodePoint(names) {
      let relative = Self.join(path, name)
      if name.hasPrefix(".") {
        ignore(relative, "hidden")
        continue
      }
      var status = stat()
      let location = Self.join(root.path, relative)
      guard lstat(location, &status) == 0 else {
        ignore(relative, "cannot be looked at: \(String(cString: strerror(errno)))")
        continue
      }
      if status.st_mode & S_IFMT == S_IFLNK {
        guard stat(location, &status) == 0, let destination = Self.resolved(location) else {
          ignore(relative, "a symbolic link to nothing")
          continue
        }
        let prefix = resolvedRoot.hasSuffix("/") ? resolvedRoot : resolvedRoot + "/"
        guard options.symbolicLinks == .anywhere || destination.hasPrefix(prefix) else {
          throw .linkLeavesRoot(path: location, destination: destination, root: root.path)
        }
      }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: entries.append(Entry(name: name, kind: .folder))
      case S_IFREG: entries.append(Entry(name: name, kind: .file))
      default: entries.append(Entry(name: name, kind: .other))
      }
    }
    return entries
  }

  mutating func ignore(_ path: String, _ reason: String) {
    ignored.append(DomainFolder.IgnoredFile(path: path, reason: reason))
  }

  /// UTF-8 keeps the order of code points; Swift's own comparison of strings normalizes first.
  static func byCodePoint(_ names: some Sequence<String>) -> [String] {
    names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private static func join(_ folder: String, _ name: String) -> String {
    folder.isEmpty ? name : name.isEmpty ? folder : "\(folder)/\(name)"
  }

  private static func resolved(_ path: String) -> String? {
    guard let pointer = realpath(path, nil) else { return nil }
    defer { free(pointer) }
    return String(cString: pointer)
  }
}
