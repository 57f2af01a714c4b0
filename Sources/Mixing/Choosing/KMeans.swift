import Tensors

/// Lloyd's k-means, and centres for it.
enum KMeans {
  /// The nearest centre of each sample, after centres and samples were adjusted to each other; of equally near ones the
  /// first. A centre that no sample is nearest to stays where it is.
  static func labels(of samples: Samples, from centres: [[Double]], maximumSteps: Int = 100) -> [Int] {
    var centres = centres
    var labels = nearest(samples, centres)
    for _ in 0..<maximumSteps {
      var members = [[Int]](repeating: [], count: centres.count)
      for (sample, label) in labels.enumerated() { members[label].append(sample) }
      for (centre, samplesOfIt) in members.enumerated() where !samplesOfIt.isEmpty {
        centres[centre] = samples.mean(of: samplesOfIt)
      }
      let moved = nearest(samples, centres)
      guard moved != labels else { break }
      labels = moved
    }
    return labels
  }

  /// `centres` and as many samples more as make `count`: each drawn with a probability in proportion to its squared
  /// distance from the nearest centre before it.
  ///
  /// Arthur and Vassilvitskii 2007, "k-means++".
  static func centres(_ centres: [[Double]], upTo count: Int, of samples: Samples, from generator: Generator) throws
    -> [[Double]]
  {
    var centres = Array(centres.prefix(count))
    while centres.count < count {
      let distances = (0..<samples.count).map { sample in
        centres.map { samples.squaredDistance(sample, to: $0) }.min() ?? 1
      }
      let total = distances.reduce(0, +)
      var place = try Tensor.uniform([1], dtype: .float64, from: generator).item() * total
      let drawn = distances.firstIndex { distance in
        place -= distance
        return place < 0
      }
      // Every sample is a centre already: another copy of one, which no sample will be nearest to.
      centres.append(Array(samples[drawn ?? 0]))
    }
    return centres
  }

  private static func nearest(_ samples: Samples, _ centres: [[Double]]) -> [Int] {
    (0..<samples.count).map { sample in
      var (best, least) = (0, Double.infinity)
      for (index, centre) in centres.enumerated() {
        let distance = samples.squaredDistance(sample, to: centre)
        if distance < least { (best, least) = (index, distance) }
      }
      return best
    }
  }
}
