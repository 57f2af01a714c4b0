import Formats
import Foundation

/// Which tensors of a file make up which of the network's, found by their names.
struct WeightSources {
  let names: WeightNames
  /// For each tensor of the network the file's, in the order of the parts.
  private(set) var sources: [String: Source] = [:]
  /// The network's tensors in the file's order of first use.
  private(set) var ordered: [String] = []
  private(set) var ignored: [LoadReport.Ignored] = []

  /// How a tensor of the network lies in the file.
  enum Source: Equatable, Sendable {
    case whole(String)
    /// Turned: the file holds the transpose.
    case transposed(String)
    /// Rows one after the other: queries, keys and values.
    case parts([String])

    var names: [String] {
      switch self {
      case .whole(let name), .transposed(let name): [name]
      case .parts(let names): names
      }
    }
  }

  /// - Throws: `LoadError` for names of no known family, or of no place in it, and where one of three parts is missing.
  init(_ files: ShardedSafetensors) throws {
    let present = Set(files.names)
    var found: (WeightNames, String)?
    for names in WeightNames.all where found == nil {
      found = names.prefixes.first { present.contains($0 + names.marker) }.map { (names, $0) }
    }
    guard let (names, prefix) = found else {
      throw LoadError.unknownFamily(folder: files.folder.path, examples: files.names.sorted().prefix(6).map { $0 })
    }
    self.names = names
    var parts: [String: [Int: String]] = [:]
    var unknown: [String] = []
    for name in files.names {
      switch names.place(of: name, prefix: prefix) {
      case .tensor(let place): try set(place, .whole(name))
      case .transposed(let place): try set(place, .transposed(name))
      case .part(let place, let part):
        if let other = parts[place]?[part] { throw LoadError.duplicate(place, [other, name]) }
        parts[place, default: [:]][part] = name
      case .ignored(let reason): ignored.append(LoadReport.Ignored(name: name, reason: reason))
      case nil: unknown.append(name)
      }
    }
    var missing: [String] = []
    for (place, sources) in parts.sorted(by: { $0.key < $1.key }) {
      guard sources.count == 3 else {
        let known = sources.values.sorted().joined(separator: ", ")
        missing.append("the rest of \(place) beside \(known)")
        continue
      }
      try set(place, .parts((0..<3).compactMap { sources[$0] }))
    }
    guard unknown.isEmpty, missing.isEmpty else {
      throw LoadError.unaccounted(folder: files.folder.path, unknown: unknown.sorted(), missing: missing)
    }
    ignored.sort { $0.name < $1.name }
  }

  private mutating func set(_ place: String, _ source: Source) throws {
    if let known = sources[place] { throw LoadError.duplicate(place, known.names + source.names) }
    sources[place] = source
    ordered.append(place)
  }
}
