import Foundation
import Synchronization
import Tensors

/// Carries a rule from tensor to tensor: two at a time, and with no more in memory than those.
struct EntryMixer {
  struct Entry {
    let name: String
    let shape: [Int]
    let isWeight: Bool
    let rule: any MixingRule
    /// One for each member; those of weight zero are left out.
    let weights: [Double]
    var count: Int { shape.reduce(1, *) }
  }

  let entries: [Entry]
  let memberNames: [String]
  let seed: UInt64
  var conventions = MixConventions.ours
  /// Fixed draws in place of seeded ones, by entry and member.
  var draws: ((_ entry: String, _ member: Int) throws -> [Float])?

  /// - Parameters:
  ///   - load: writes a member's differences in the tensor at a place; called from two threads.
  ///   - store: takes the mixture of the tensor at a place; called from two threads.
  func run(
    load: (_ entry: Int, _ member: Int, UnsafeMutableBufferPointer<Float>) throws -> Void,
    store: (_ entry: Int, UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws {
    let cuts = try globalCuts(load)
    try Self.concurrently(entries.count) { index in
      let entry = entries[index]
      let members = entry.weights.indices.filter { entry.weights[$0] != 0 }
      let weights = members.map { entry.weights[$0] }
      let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(1, members.count * entry.count))
      let result = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(1, entry.count))
      defer {
        values.deallocate()
        result.deallocate()
      }
      let mixing = MixingEntry(
        name: entry.name, shape: entry.shape, members: members, weights: weights,
        values: UnsafeMutableBufferPointer(rebasing: values[0..<members.count * entry.count]),
        result: UnsafeMutableBufferPointer(rebasing: result[0..<entry.count]),
        cuts: entry.isWeight ? cuts.map { all in members.map { all[$0].forEntry(index) } } : nil,
        conventions: conventions
      ) { place in
        try draws?(entry.name, members[place]) ?? numbers(entry.name, members[place], entry.count)
      }
      for (place, member) in members.enumerated() { try fill(mixing.member(place), index, member, load) }
      if entry.isWeight {
        try entry.rule.mix(mixing)
      } else {
        mixing.sum(try entry.rule.coefficients(weights))
      }
      try Self.checkFinite(mixing.result, entry.name, of: nil)
      try store(index, mixing.result)
    }
  }

  private func fill(
    _ numbers: UnsafeMutableBufferPointer<Float>, _ entry: Int, _ member: Int,
    _ load: (Int, Int, UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws {
    try load(entry, member, numbers)
    try Self.checkFinite(numbers, entries[entry].name, of: memberNames[member])
  }

  private static func checkFinite(
    _ numbers: UnsafeMutableBufferPointer<Float>, _ entry: String, of member: String?
  ) throws {
    let exponent: UInt32 = 0x7f80_0000
    var found: UInt32 = 0
    for number in numbers { found |= number.bitPattern & exponent == exponent ? 1 : 0 }
    guard found == 0 else { throw MixtureError.notFinite(entry, member: member) }
  }

  private func numbers(_ entry: String, _ member: Int, _ count: Int) throws -> [Float] {
    try Tensor.uniform([count], from: Generator(seed: seed).derived("\(entry)#\(member)")).array()
  }

  // MARK: Cuts over all tensors

  private struct GlobalCut {
    let cut: MagnitudeCut
    /// Of the numbers at the threshold, how many are kept and how many there are, tensor by tensor; nil where all are kept.
    let ties: [(kept: Int, equals: Int)]?

    func forEntry(_ index: Int) -> MagnitudeCut {
      guard let ties, ties.indices.contains(index) else { return cut }
      return MagnitudeCut(least: cut.least, ties: ties[index].kept, equals: ties[index].equals)
    }
  }

  /// What is kept of each member by rules that look at all tensors together; nil for those that look at each by itself.
  ///
  /// Three passes, which load every tensor of a member one after another; a fourth where equal magnitudes lie at the threshold.
  private func globalCuts(
    _ load: (Int, Int, UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws -> [GlobalCut]? {
    let weights = entries.indices.filter { entries[$0].isWeight }
    let densities = Set(weights.map { entries[$0].rule.globalDensity })
    guard densities.contains(where: { $0 != nil }) else { return nil }
    guard densities.count == 1, let density = densities.compactMap({ $0 }).first else {
      throw MixtureError.globalSchedule
    }
    let total = weights.reduce(0) { $0 + entries[$1].count }
    let room = UnsafeMutableBufferPointer<Float>.allocate(
      capacity: max(1, weights.map { entries[$0].count }.max() ?? 1))
    defer { room.deallocate() }

    func pass(_ member: Int, _ body: (Int, UnsafeMutableBufferPointer<Float>) -> Void) throws {
      for index in weights where entries[index].weights[member] != 0 {
        let numbers = UnsafeMutableBufferPointer(rebasing: room[0..<entries[index].count])
        try fill(numbers, index, member, load)
        body(index, numbers)
      }
    }
    return try memberNames.indices.map { member in
      let kept = conventions.kept(density[member], of: total)
      guard kept > 0 else { return GlobalCut(cut: .nothing, ties: nil) }
      guard kept < total else { return GlobalCut(cut: .everything, ties: nil) }
      var search = MagnitudeSearch(keeping: kept)
      for _ in 0..<MagnitudeSearch.passes {
        try pass(member) { search.count($1) }
        search.refine()
      }
      let cut = search.cut
      guard cut.ties < cut.equals else { return GlobalCut(cut: cut, ties: nil) }
      var (left, ties) = (cut.ties, [(kept: Int, equals: Int)](repeating: (0, 0), count: entries.count))
      try pass(member) { index, numbers in
        let equals = numbers.count { $0.bitPattern & MagnitudeCut.magnitude == cut.least }
        ties[index] = (min(left, equals), equals)
        left -= min(left, equals)
      }
      return GlobalCut(cut: cut, ties: ties)
    }
  }

  // MARK: Threads

  /// Calls `body` for each index, on as many threads as one operation may use; the first error by index ends it.
  static func concurrently(_ count: Int, _ body: (Int) throws -> Void) throws {
    let workers = min(Threads.count, count)
    guard workers > 1 else {
      for index in 0..<count { try body(index) }
      return
    }
    let state = Mutex<(next: Int, failure: (index: Int, error: any Error)?)>((0, nil))
    withoutActuallyEscaping(body) { body in
      // The workers share nothing but the counter; `body` is called for different tensors.
      nonisolated(unsafe) let body = body
      DispatchQueue.concurrentPerform(iterations: workers) { _ in
        withOneThread {
          while let index = state.withLock({ state -> Int? in
            guard state.next < count, state.failure == nil else { return nil }
            defer { state.next += 1 }
            return state.next
          }) {
            do { try body(index) } catch {
              state.withLock { state in
                if index < state.failure?.index ?? .max { state.failure = (index, error) }
              }
            }
          }
        }
      }
    }
    if let failure = state.withLock({ $0.failure }) { throw failure.error }
  }
}
