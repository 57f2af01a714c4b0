import Formats
import Foundation

/// Lists a folder of texts, reads its files and checks the whole.
struct TextFolderReader {
  /// A domain and its files, relative to the root.
  private struct Domain {
    var name: String
    var files: [(path: String, part: TextFolder.Part?)]
  }

  private let root: URL
  private let options: TextFolder.Options

  init(root: URL, options: TextFolder.Options) {
    self.root = root
    self.options = options
  }

  func domainNames() throws -> [String] { try listed().domains.map(\.name) }

  func folder() throws -> TextFolder {
    if let classes = options.classes, classes.count < 2 || Set(classes).count < classes.count {
      throw TextFolderError.classes(classes)
    }
    guard (1...TextFolderError.largestLineLimit).contains(options.lineLimit) else {
      throw TextFolderError.lineLimit(options.lineLimit)
    }
    let (domains, ignored) = try listed()
    var rows: [[TextFile]] = []
    for domain in domains {
      rows.append(try domain.files.map { try TextFile(root: root, path: $0.path, part: $0.part, options: options) })
    }
    let bad = rows.joined().flatMap(\.badLines)
    let total = rows.joined().reduce(bad.count) { $0 + $1.rows.count }
    if options.badLines == .error, !bad.isEmpty { throw BadLinesError(lines: bad, total: total) }

    let classes = options.classes ?? DomainFolderReader.byCodePoint(Set(rows.joined().flatMap { $0.rows.map(\.label) }))
    try check(zip(domains.map(\.name), rows), classes)
    let numbers = Dictionary(uniqueKeysWithValues: zip(classes, classes.indices))
    var samples: [TextFolder.Sample] = []
    var ranges: [Range<Int>] = []
    for (domain, files) in rows.enumerated() {
      let start = samples.count
      for file in files {
        samples += file.rows.compactMap { row in
          numbers[row.label].map {
            TextFolder.Sample(
              text: row.text, secondText: row.secondText, domain: domain, label: $0, part: file.part, file: file.path,
              line: row.line)
          }
        }
      }
      ranges.append(start..<samples.count)
    }
    return TextFolder(
      root: root, domains: domains.map(\.name), classes: classes, samples: samples, ranges: ranges, badLines: bad,
      ignoredFiles: ignored)
  }

  private func check(_ domains: some Sequence<(String, [TextFile])>, _ classes: [String]) throws {
    var differences: [TextFolderError.ClassDifference] = []
    for (name, files) in domains {
      let present = Set(files.flatMap { $0.rows.map(\.label) })
      guard let one = present.first else {
        throw TextFolderError.noSamples(domain: name, badLines: files.reduce(0) { $0 + $1.badLines.count })
      }
      // Alone, a class is nothing to choose from, whatever is allowed to be missing.
      if present.count == 1, !options.allowsMissingClasses || classes.count == 1 {
        throw TextFolderError.oneClass(domain: name, name: one)
      }
      let missing = classes.filter { !present.contains($0) }
      if !missing.isEmpty { differences.append(.init(domain: name, missing: missing)) }
    }
    if !options.allowsMissingClasses, !differences.isEmpty {
      throw TextFolderError.classesDiffer(differences, root: root.path)
    }
  }

  // MARK: Listing

  private func listed() throws -> (domains: [Domain], ignored: [DomainFolder.IgnoredFile]) {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: root.path, isDirectory: &isFolder) else {
      throw TextFolderError.missing(root: root.path)
    }
    guard isFolder.boolValue else { throw TextFolderError.notAFolder(root: root.path) }
    var reader = DomainFolderReader(root: root, options: .init(symbolicLinks: options.symbolicLinks))
    let (folders, files) = try reader.listing(in: "")
    var places: [String: [String]] = [:]
    for folder in folders { places[folder, default: []].append(folder) }
    for file in files {
      if let name = TextFile.name(of: file) {
        places[name, default: []].append(file)
      } else {
        reader.ignore(file, TextFile.unknownKind)
      }
    }
    let found = DomainFolderReader.byCodePoint(places.keys)
    guard !found.isEmpty else { throw TextFolderError.noDomains(root: root.path) }
    for name in options.domains ?? [] where !found.contains(name) {
      throw DomainDatasetError.unknown(name, among: found)
    }
    let chosen = options.domains.map { names in found.filter(names.contains) } ?? found
    guard !chosen.isEmpty else { throw DomainDatasetError.noneSelected(known: found) }
    var domains: [Domain] = []
    for name in chosen {
      guard let place = places[name], place.count == 1 else {
        throw TextFolderError.domainTwice(name, places: places[name] ?? [])
      }
      domains.append(
        place == [name] ? try divided(name, &reader) : Domain(name: name, files: place.map { ($0, nil) }))
    }
    return (domains, reader.ignored)
  }

  /// A domain that is a folder: files named for its parts, or any others.
  private func divided(_ name: String, _ reader: inout DomainFolderReader) throws -> Domain {
    let (folders, files) = try reader.listing(in: name)
    for folder in folders { reader.ignore("\(name)/\(folder)", "a folder inside a domain's folder") }
    var read: [(path: String, part: TextFolder.Part?)] = []
    for file in files {
      if let stem = TextFile.name(of: file) {
        read.append(("\(name)/\(file)", TextFolder.Part(rawValue: stem)))
      } else {
        reader.ignore("\(name)/\(file)", TextFile.unknownKind)
      }
    }
    guard !read.isEmpty else { throw TextFolderError.noFiles(domain: name, root: root.path) }
    let parts = read.compactMap(\.part)
    guard parts.isEmpty || parts.count == read.count else {
      throw TextFolderError.mixedParts(domain: name, files: read.map(\.path))
    }
    guard Set(parts).count == parts.count else {
      throw TextFolderError.partTwice(domain: name, files: read.map(\.path))
    }
    let byPart = TextFolder.Part.allCases.flatMap { part in read.filter { $0.part == part } }
    return Domain(name: name, files: parts.isEmpty ? read : byPart)
  }
}
