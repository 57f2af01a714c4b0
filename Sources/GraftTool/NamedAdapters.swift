import Adapters
import Foundation
import NeuralNetworks
import Training

/// Several adapters of one network, each by a name of its own: that of its folder, or of the run that it lies in.
struct NamedAdapters: Sendable {
  let names: [String]
  let adapters: [TrainedAdapter]

  enum Problem: Error, Equatable, CustomStringConvertible {
    case twice(String)

    var description: String {
      switch self {
      case .twice(let path): "'\(path)' is named twice. Name every adapter once."
      }
    }
  }

  /// - Throws: `Problem.twice`; `TrainedAdapter.Problem`.
  init(_ paths: [String], _ options: DataOptions) throws {
    adapters = try paths.map { try TrainedAdapter(at: $0, options) }
    var seen: Set<String> = []
    for adapter in adapters where !seen.insert(adapter.folder.resolvingSymlinksInPath().path).inserted {
      throw Problem.twice(adapter.folder.path)
    }
    names = Self.names(of: adapters.map(\.folder))
  }

  /// The last parts of the paths, as many as tell them apart; a run's `adapter` says nothing.
  static func names(of folders: [URL]) -> [String] {
    let parts = folders.map { folder in
      let parts = folder.resolvingSymlinksInPath().pathComponents
      return parts.last == TrainRun.adapterFolder ? Array(parts.dropLast()) : parts
    }
    let longest = parts.map(\.count).max() ?? 1
    for count in 1...max(1, longest) {
      let names = parts.map { $0.suffix(count).joined(separator: "/") }
      if Set(names).count == names.count { return names }
    }
    return folders.map(\.path)
  }

  /// On the network that the first of them that knows one names.
  ///
  /// - Throws: `AdapterFolderError.otherBackbone` for one that was trained on another.
  @Compute
  func models() throws -> [AdaptedModel] {
    guard let settings = try (adapters.first(where: \.namesModel) ?? adapters.first)?.backbone().settings else {
      return []
    }
    let network = try settings.load()
    return try adapters.map { try $0.load(onto: network) }
  }
}
