extension MixingRule {
  /// Mixes adapters of one layout, number by number: the space of factors.
  ///
  /// - Parameters:
  ///   - weights: one for each vector; nil for 1 each. A vector of weight zero is left out.
  ///   - initial: `θ⁰`, what all of them started from; nil for zero. Rules that are weighted means do not look at it.
  ///   - seed: of the rules that draw at random.
  /// - Throws: `MixingError.layout` for vectors of different layouts; `MixtureError` for numbers that are not finite, or
  ///   settings that do not fit.
  public func mix(
    _ vectors: [AdapterVector], weights: [Double]? = nil, initial: AdapterVector? = nil, seed: UInt64 = 0
  ) throws -> AdapterVector {
    let weights = weights ?? vectors.map { _ in 1 }
    guard let first = vectors.first else { throw MixtureError.empty }
    let rules = first.layout.entries.map { _ in (rule: self as any MixingRule, weights: weights) }
    return try VectorMixer(vectors, names: vectors.indices.map { "\($0)" }, rules: rules, initial: initial)
      .mixed(seed: seed)
  }
}

/// Vectors of one layout, and the rule of each of their tensors.
struct VectorMixer {
  let vectors: [AdapterVector]
  let names: [String]
  let rules: [(rule: any MixingRule, weights: [Double])]
  let initial: AdapterVector?
  let conventions: MixConventions

  init(
    _ vectors: [AdapterVector], names: [String], rules: [(rule: any MixingRule, weights: [Double])],
    initial: AdapterVector?, conventions: MixConventions = .ours
  ) throws {
    guard let first = vectors.first else { throw MixtureError.empty }
    for vector in vectors.dropFirst() { try first.layout.check(against: vector.layout) }
    if let initial { try first.layout.check(against: initial.layout) }
    for (rule, weights) in rules { try rule.checked(weights: weights, members: names) }
    if let knots = rules.first(where: { $0.rule is KnOTS }) {
      throw MixtureError.needsChanges(type(of: knots.rule).name)
    }
    self.vectors = vectors
    self.names = names
    self.rules = rules
    self.initial = initial
    self.conventions = conventions
  }

  func mixed(seed: UInt64, draws: ((String, Int) throws -> [Float])? = nil) throws -> AdapterVector {
    let layout = vectors[0].layout
    let entries = zip(layout.entries, rules).map { entry, rule in
      EntryMixer.Entry(
        name: entry.name, shape: entry.shape, isWeight: entry.isWeight, rule: rule.rule, weights: rule.weights)
    }
    var starts: [[Float]?] = []
    for (entry, rule) in zip(layout.entries, rules) {
      // A mean of members needs no start: it cancels, and without it the sum is rounded once.
      let linear = rule.rule.isLinear || !entry.isWeight
      let sum = try rule.rule.coefficients(rule.weights.filter { $0 != 0 }).reduce(0, +)
      starts.append(linear && abs(sum - 1) < 1e-12 ? nil : initial.map { Array($0.values[entry.range]) })
    }
    let mixer = EntryMixer(entries: entries, memberNames: names, seed: seed, conventions: conventions, draws: draws)
    var values = [Float](repeating: 0, count: layout.count)
    try values.withUnsafeMutableBufferPointer { values in
      // Each tensor is written by one thread, to its own part.
      nonisolated(unsafe) let values = values
      try mixer.run { index, member, numbers in
        let range = layout.entries[index].range
        vectors[member].values.withUnsafeBufferPointer { source in
          _ = numbers.update(fromContentsOf: source[range])
        }
        guard let start = starts[index] else { return }
        for place in 0..<numbers.count { numbers[place] -= start[place] }
      } store: { index, result in
        let target = UnsafeMutableBufferPointer(rebasing: values[layout.entries[index].range])
        _ = target.update(fromContentsOf: result)
        guard let start = starts[index] else { return }
        for place in 0..<target.count { target[place] += start[place] }
      }
    }
    return try AdapterVector(layout, values)
  }
}

extension MixingRule {
  /// - Throws: `MixtureError` for weights that are not one finite number for each member or are all zero, for weights that the
  ///   rule does not look at, and for what `validate` refuses.
  func checked(weights: [Double], members: [String]) throws(MixtureError) {
    guard !members.isEmpty else { throw .empty }
    guard weights.count == members.count else { throw .perMember("weight", weights.count, members: members.count) }
    for (name, weight) in zip(members, weights) where !weight.isFinite { throw .weight(name, weight) }
    let used = weights.filter { $0 != 0 }
    guard let first = used.first else { throw .noWeight(0) }
    if !Self.usesWeights, used.contains(where: { $0 != first }) { throw .weightsUnused(Self.name) }
    try validate(weights: weights)
    _ = try coefficients(used)
  }
}
