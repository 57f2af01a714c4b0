import Formats
import Foundation

/// Labelled samples in domains, the classes the same in all: what folders of images and folders of texts have in common.
public protocol DomainDataset: Sendable, Hashable {
  associatedtype Sample: DomainSample

  var root: URL { get }
  var domains: [String] { get }
  var classes: [String] { get }
  /// Domain after domain.
  var samples: [Sample] { get }
  /// Each domain's part of `samples`.
  var ranges: [Range<Int>] { get }

  /// The same data set with these domains in place of all, their samples numbered accordingly.
  func keeping(domains: [String], samples: [Sample], ranges: [Range<Int>]) -> Self
}

/// A sample of a `DomainDataset`.
public protocol DomainSample: Sendable, Hashable {
  /// Index into the data set's `domains`.
  var domain: Int { get set }
  /// Index into the data set's `classes`.
  var label: Int { get }
}

extension DomainDataset {
  /// The samples of one domain, in order; none for an index out of range.
  public func samples(inDomain domain: Int) -> ArraySlice<Sample> {
    ranges.indices.contains(domain) ? samples[ranges[domain]] : []
  }

  /// One domain as the target that training never sees, the others as sources.
  ///
  /// - Throws: `DomainDatasetError.unknownDomain`, with the nearest name there is; `.noSourceDomain` where it is the only one.
  public func leavingOut(_ name: String) throws(DomainDatasetError) -> LeaveOneDomainOut<Self> {
    let target = try index(of: name)
    guard domains.count > 1 else { throw .noSourceDomain(target: name, root: root.path) }
    return LeaveOneDomainOut(folder: self, target: target)
  }

  /// The same data set with only the named domains, in their sorted order, numbered anew. The classes stay all of them.
  ///
  /// - Throws: `DomainDatasetError.unknownDomain`; `.noneSelected` if `names` is empty.
  public func selecting(_ names: [String]) throws(DomainDatasetError) -> Self {
    var chosen: Set<Int> = []
    for name in names { chosen.insert(try index(of: name)) }
    guard !chosen.isEmpty else { throw .noneSelected(known: domains) }
    var selected: [Sample] = []
    var selectedRanges: [Range<Int>] = []
    for (domain, old) in chosen.sorted().enumerated() {
      let start = selected.count
      for var sample in samples(inDomain: old) {
        sample.domain = domain
        selected.append(sample)
      }
      selectedRanges.append(start..<selected.count)
    }
    return keeping(domains: chosen.sorted().map { domains[$0] }, samples: selected, ranges: selectedRanges)
  }

  /// At most `perClass` samples of each class in each domain, drawn by the seed; a smaller number draws a part of what a larger
  /// one does.
  public func drawing(perClass: Int, seed: UInt64) -> Self {
    var kept: [Sample] = []
    var keptRanges: [Range<Int>] = []
    for (domain, name) in domains.enumerated() {
      let stream = Array(name.utf8).withUnsafeBytes { XXH64.hash($0) }
      let byClass = Dictionary(grouping: ranges[domain]) { samples[$0].label }
      let chosen = byClass.flatMap { label, indices in
        var (indices, generator) = (indices, Xoshiro256(seed: seed, stream: RandomStream.subset, stream, UInt64(label)))
        generator.shuffle(&indices)
        return indices.prefix(max(0, perClass))
      }
      let start = kept.count
      kept += chosen.sorted().map { samples[$0] }
      keptRanges.append(start..<kept.count)
    }
    return keeping(domains: domains, samples: kept, ranges: keptRanges)
  }

  func index(of name: String) throws(DomainDatasetError) -> Int {
    guard let index = domains.firstIndex(of: name) else { throw .unknown(name, among: domains) }
    return index
  }
}

/// Why domains of a data set cannot be chosen.
public enum DomainDatasetError: Error, Equatable, Sendable, CustomStringConvertible {
  case unknownDomain(String, known: [String], nearest: String?)
  case noneSelected(known: [String])
  case noSourceDomain(target: String, root: String)

  public static func unknown(_ name: String, among known: [String]) -> DomainDatasetError {
    .unknownDomain(name, known: known, nearest: Suggestion.closest(to: name, among: known).first)
  }

  public var description: String {
    switch self {
    case .unknownDomain(let name, let known, let nearest):
      """
      There is no domain '\(name)'.\(nearest.map { " Did you mean '\($0)'?" } ?? "") The domains are \(quoted(known)).
      """
    case .noneSelected(let known):
      "No domain is selected. Name at least one of \(quoted(known))."
    case .noSourceDomain(let target, let root):
      "'\(root)' has no domain besides '\(target)' to train on. Leaving one out takes two domains or more."
    }
  }
}

/// Names as a message lists them: ten at most, then how many more.
func quoted(_ names: [String]) -> String {
  guard !names.isEmpty else { return "none" }
  let shown = names.prefix(10).map { "'\($0)'" }.joined(separator: ", ")
  return names.count > 10 ? "\(shown) and \(names.count - 10) more" : shown
}
