import Adapters
import NeuralNetworks
import Tensors

/// How often adapters disagree in the signs of their weights: the fraction of sign difference (FSD) of Nguyen & Le 2024,
/// arXiv:2402.10639.
///
///     FSD(i, j) = (1/N) Σ_p 1[sign(w_i,p) · sign(w_j,p) = −1]
///
/// over the `N` weights of two adapters: matrices only; biases, LayerNorms, scales and heads have no say. That it is a fraction
/// of weight sign difference is the paper's; the normalization, what counts as a weight, and the reducers for more than two
/// adapters are ours.
///
/// Signs are packed into bits and disagreements counted in words of 64; the pairs are counted once, when the value is made.
public struct SignStatistics: Sendable {
  /// A matrix whose signs are compared.
  public struct Entry: Codable, Hashable, Sendable {
    /// The parameter's name, or that of the linear map whose change it is.
    public let name: String
    public let block: Int?
    /// Its weights.
    public let count: Int
  }

  /// Of the adapters, in their order.
  public let names: [String]
  public let options: SignOptions
  public let entries: [Entry]
  /// `N`
  public let weightCount: Int
  private let signs: [SignBits]
  /// The words of each entry.
  private let words: [Range<Int>]
  /// By pair, then by entry.
  private let tallies: [[SignTally]]

  /// - Parameters:
  ///   - vectors: of one layout; at least one.
  ///   - names: of the adapters; nil for their numbers, counted from 1.
  ///   - initial: each adapter before its training, for the reference `.delta`.
  /// - Throws: `MixingError.noAdapters`, `.layout`, `.noWeights`, `.notFinite`, or `.noInitial` where the reference wants a start and
  ///   there is none.
  public init(
    _ vectors: [AdapterVector], names: [String]? = nil, initial: [AdapterVector]? = nil,
    options: SignOptions = SignOptions()
  ) throws {
    let names = names ?? vectors.indices.map { String($0 + 1) }
    guard let layout = vectors.first?.layout else { throw MixingError.noAdapters }
    for vector in vectors { try layout.check(against: vector.layout) }
    guard names.count == vectors.count else { throw MixingError.count(names.count, expected: vectors.count) }
    var references: [AdapterVector]?
    if options.reference == .delta {
      guard let initial, initial.count == vectors.count else {
        throw MixingError.noInitial(names.joined(separator: ", "))
      }
      for vector in initial { try layout.check(against: vector.layout) }
      references = initial
    }
    let weights = layout.entries.filter(\.isWeight)
    let packed = try vectors.indices.map { index in
      var bits = SignBits()
      bits.reserve(weights.reduce(0) { $0 + SignBits.words($1.range.count) })
      try vectors[index].values.withUnsafeBufferPointer { numbers in
        for entry in weights {
          let numbers = UnsafeBufferPointer(rebasing: numbers[entry.range])
          let isFinite =
            references.map { references in
              references[index].values.withUnsafeBufferPointer {
                bits.append(numbers, minus: UnsafeBufferPointer(rebasing: $0[entry.range]))
              }
            } ?? bits.append(numbers)
          guard isFinite else { throw MixingError.notFinite(entry.name, adapter: names[index]) }
        }
      }
      return bits
    }
    try self.init(
      names, options, weights.map { Entry(name: $0.name, block: $0.block, count: $0.range.count) }, packed)
  }

  /// - Parameter signs: the entries' words one after the other.
  init(_ names: [String], _ options: SignOptions, _ entries: [Entry], _ signs: [SignBits]) throws(MixingError) {
    self.names = names
    self.options = options
    self.entries = entries
    self.signs = signs
    weightCount = entries.reduce(0) { $0 + $1.count }
    guard weightCount > 0 else { throw .noWeights }
    var words: [Range<Int>] = []
    for entry in entries {
      let start = words.last?.upperBound ?? 0
      words.append(start..<start + SignBits.words(entry.count))
    }
    self.words = words
    tallies = signs.indices.flatMap { first in
      signs.indices.dropFirst(first + 1).map { second in
        words.map { SignTally(signs[first], signs[second], in: $0) }
      }
    }
  }

  // MARK: Pairs

  /// FSD(i, j), `0 ... 1`; 0 for an adapter with itself.
  public func pair(_ first: Int, _ second: Int) -> Double { pair(first, second, over: entries.indices) }

  /// All of them: symmetric, 0 on the diagonal.
  public var pairs: [[Double]] { names.indices.map { row in names.indices.map { pair(row, $0) } } }

  private func pair(_ first: Int, _ second: Int, over chosen: some Sequence<Int>) -> Double {
    guard first != second else { return 0 }
    return total(first, second, over: chosen).fraction(of: count(of: chosen), options.zeros)
  }

  private func total(_ first: Int, _ second: Int, over chosen: some Sequence<Int>) -> SignTally {
    let (low, high) = (min(first, second), max(first, second))
    let tallies = tallies[low * names.count - low * (low + 1) / 2 + high - low - 1]
    return chosen.reduce(SignTally()) { $0 + tallies[$1] }
  }

  /// The fraction of opposite signs among weights that are 0 in neither, whatever the options say of zeros: what chance makes 1/2,
  /// also of sparse adapters. nil where no weight is shared.
  func conflictRate(_ first: Int, _ second: Int) -> Double? {
    let tally = total(first, second, over: entries.indices)
    return tally.shared == 0 ? nil : Double(tally.conflicts) / Double(tally.shared)
  }

  // MARK: Sets

  /// The FSD of a set of adapters, by their places; 0 for fewer than two.
  ///
  /// - Parameter reducer: nil for that of the options.
  public func set(_ members: [Int], _ reducer: SignReducer? = nil) -> Double {
    set(members, reducer ?? options.reducer, over: entries.indices)
  }

  /// The same for each entry.
  public func byEntry(_ members: [Int], _ reducer: SignReducer? = nil) -> [Double] {
    entries.indices.map { set(members, reducer ?? options.reducer, over: CollectionOfOne($0)) }
  }

  /// The same for each transformer block, ascending; entries outside the blocks come first, under nil.
  public func byBlock(_ members: [Int], _ reducer: SignReducer? = nil) -> [(block: Int?, value: Double)] {
    Dictionary(grouping: entries.indices) { entries[$0].block ?? -1 }.sorted { $0.key < $1.key }.map { block, chosen in
      (block < 0 ? nil : block, set(members, reducer ?? options.reducer, over: chosen))
    }
  }

  private func set(_ members: [Int], _ reducer: SignReducer, over chosen: some Sequence<Int>) -> Double {
    guard members.count > 1 else { return 0 }
    switch reducer {
    case .pairwise:
      var sum = 0.0
      for (index, first) in members.enumerated() {
        for second in members[..<index] { sum += pair(second, first, over: chosen) }
      }
      return sum / Double(members.count * (members.count - 1) / 2)
    case .any:
      let (conflicts, whole) = conflicts(members, chosen)
      return whole == 0 ? 0 : Double(conflicts) / Double(whole)
    case .minority:
      let (votes, whole) = minorityVotes(members, chosen)
      return whole == 0 ? 0 : Double(votes) / Double(whole * members.count)
    }
  }

  private func count(of chosen: some Sequence<Int>) -> Int { chosen.reduce(0) { $0 + entries[$1].count } }

  /// Positions where any two members disagree, and positions that count.
  private func conflicts(_ members: [Int], _ chosen: some Sequence<Int>) -> (part: Int, whole: Int) {
    var (part, whole) = (0, options.zeros == .exclude ? 0 : count(of: chosen))
    for entry in chosen {
      for word in words[entry] {
        var (anyPlus, anyMinus, allPlus, allMinus) = (UInt64(0), UInt64(0), UInt64.max, UInt64.max)
        var (once, twice) = (UInt64(0), UInt64(0))
        for member in members {
          let (plus, minus) = (signs[member].positive[word], signs[member].negative[word])
          twice |= once & (plus | minus)
          once |= plus | minus
          anyPlus |= plus
          anyMinus |= minus
          allPlus &= plus
          allMinus &= minus
        }
        switch options.zeros {
        case .ignore: part += (anyPlus & anyMinus).nonzeroBitCount
        case .exclude:
          part += (anyPlus & anyMinus).nonzeroBitCount
          whole += twice.nonzeroBitCount
        case .ternary: part += ((anyPlus ^ allPlus) | (anyMinus ^ allMinus)).nonzeroBitCount
        }
      }
    }
    return (part, whole)
  }

  /// The votes of those who are not of the commonest sign, and positions that count. Between +1 and −1 alone the members at 0
  /// have no vote.
  private func minorityVotes(_ members: [Int], _ chosen: some Sequence<Int>) -> (votes: Int, whole: Int) {
    var (votes, whole) = (0, options.zeros == .exclude ? 0 : count(of: chosen))
    var (plus, minus) = (BitSlicedCounter(limit: members.count), BitSlicedCounter(limit: members.count))
    var zero = plus
    for entry in chosen {
      for (place, word) in words[entry].enumerated() {
        let left = entries[entry].count - 64 * place
        let valid = left >= 64 ? UInt64.max : (1 << UInt64(left)) - 1
        plus.reset()
        minus.reset()
        zero.reset()
        var (once, twice) = (UInt64(0), UInt64(0))
        for member in members {
          let (above, below) = (signs[member].positive[word], signs[member].negative[word])
          plus.add(above)
          minus.add(below)
          if options.zeros == .ternary { zero.add(valid & ~(above | below)) }
          twice |= once & (above | below)
          once |= above | below
        }
        let all = options.zeros == .ternary ? members.count * min(left, 64) : plus.sum + minus.sum
        plus.formMaximum(minus)
        if options.zeros == .ternary { plus.formMaximum(zero) }
        votes += all - plus.sum
        if options.zeros == .exclude { whole += twice.nonzeroBitCount }
      }
    }
    return (votes, whole)
  }
}
