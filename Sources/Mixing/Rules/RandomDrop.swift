/// What becomes of the numbers that are left where others were dropped at random.
public enum Rescaling: String, Codable, Hashable, Sendable, CaseIterable {
  /// Each is divided by the probability with which it was kept, so that the expectation is what it was: the papers.
  case expectation
  /// All are multiplied so that the sum of magnitudes is what it was: MergeKit's `rescale`.
  case norm
  case none
}

extension MixingEntry {
  /// Drops numbers of the member at a place of `members`: each is kept with its own probability.
  ///
  /// - Parameter probability: by the number's index; a probability of 1 or more keeps without looking at the draw.
  func drop(_ place: Int, rescaling: Rescaling, probability: (Int) -> Double) throws {
    let numbers = member(place)
    let draws = try draws(place)
    let before = rescaling == .norm ? Self.sumOfMagnitudes(numbers) : 0
    for index in 0..<numbers.count {
      let kept = probability(index)
      guard kept < 1 else { continue }
      if Double(draws[index]) >= kept {
        numbers[index] = 0
      } else if rescaling == .expectation {
        numbers[index] = Float(Double(numbers[index]) / kept)
      }
    }
    guard rescaling == .norm else { return }
    let after = Self.sumOfMagnitudes(numbers)
    guard before >= 1e-7, after >= 1e-7 else { return }
    for index in 0..<numbers.count { numbers[index] = Float(Double(numbers[index]) * (before / after)) }
  }

  static func sumOfMagnitudes(_ numbers: UnsafeMutableBufferPointer<Float>) -> Double {
    numbers.reduce(0) { $0 + Double($1.magnitude) }
  }
}
