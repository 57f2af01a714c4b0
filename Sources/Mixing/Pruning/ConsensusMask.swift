extension PruningMask {
  /// Keeps what no two of the adapters disagree in: a weight goes where one is above 0 and another below. Of it, `1 − density` is the
  /// FSD with the reducer `.any`; of five unrelated adapters a sixteenth stays.
  ///
  /// - Throws: `MixingError.noAdapters`, `.layout`, `.notFinite`
  public static func consensus(of vectors: [AdapterVector]) throws(MixingError) -> PruningMask {
    guard let layout = vectors.first?.layout else { throw .noAdapters }
    var keeps = [Bool](repeating: true, count: layout.count)
    for vector in vectors { try layout.check(against: vector.layout) }
    for entry in layout.entries where entry.isWeight {
      for (index, vector) in vectors.enumerated() where !vector.values[entry.range].allSatisfy(\.isFinite) {
        throw .notFinite(entry.name, adapter: "number \(index + 1)")
      }
      for place in entry.range {
        var (isAbove, isBelow) = (false, false)
        for vector in vectors {
          isAbove = isAbove || vector.values[place] > 0
          isBelow = isBelow || vector.values[place] < 0
        }
        keeps[place] = !(isAbove && isBelow)
      }
    }
    return try PruningMask(layout, keeps)
  }
}
