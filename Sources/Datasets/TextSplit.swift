import Foundation

/// What to train on, to choose by and to test on in one domain of a `TextFolder`: indices of its samples, ascending.
public struct TextSplit: Sendable, Hashable {
  public struct Options: Sendable, Hashable {
    /// The fraction of a domain drawn for testing, where it has no test part, 0...1.
    public var test = 0.2
    /// The fraction of what is not for testing drawn for validation, where it has no validation part, 0...1.
    public var validation = 0.1
    /// The most samples of each part, drawn in the proportions of the classes; nil for all.
    public var largestTraining: Int?
    public var largestValidation: Int?
    public var largestTest: Int?
    public var seed: UInt64 = 0

    public init(
      test: Double = 0.2, validation: Double = 0.1, largestTraining: Int? = nil, largestValidation: Int? = nil,
      largestTest: Int? = nil, seed: UInt64 = 0
    ) {
      self.test = test
      self.validation = validation
      self.largestTraining = largestTraining
      self.largestValidation = largestValidation
      self.largestTest = largestTest
      self.seed = seed
    }
  }

  public let training: [Int]
  public let validation: [Int]
  public let test: [Int]
}

extension TextFolder {
  /// One domain's parts as they come, and those it does not come with drawn from the rest in the proportions of the classes.
  ///
  /// The draws depend on the seed, the domain's name and the class alone. A smaller limit keeps a subset of what a larger
  /// one keeps, to within the rounding of the classes' shares.
  ///
  /// - Throws: `TextFolderError.emptyPart` where nothing is left for a part; `.splitOptions`.
  public func split(
    ofDomain domain: Int, _ options: TextSplit.Options = .init()
  ) throws(TextFolderError) -> TextSplit {
    let shares = [options.test, options.validation]
    let limits = [options.largestTraining, options.largestValidation, options.largestTest]
    guard shares.allSatisfy({ $0 >= 0 && $0 < 1 }), limits.allSatisfy({ $0 ?? 1 >= 1 }) else { throw .splitOptions }
    let range = ranges.indices.contains(domain) ? ranges[domain] : 0..<0
    let name = domains.indices.contains(domain) ? domains[domain] : "\(domain)"
    let stream = Array(name.utf8).withUnsafeBytes { XXH64.hash($0) }

    /// The samples of each class, in an order that the seed decides.
    func shuffled(_ part: Part?) -> [[Int]] {
      var byClass = [[Int]](repeating: [], count: classes.count)
      for index in range where samples[index].part == part { byClass[samples[index].label].append(index) }
      for label in byClass.indices {
        var generator = Xoshiro256(
          seed: options.seed, stream: RandomStream.split, stream, UInt64(label),
          UInt64(part.flatMap(Part.allCases.firstIndex) ?? 0))
        generator.shuffle(&byClass[label])
      }
      return byClass
    }
    func drawn(_ share: Double, from pool: inout [[Int]]) -> [[Int]] {
      let counts = pool.map(\.count)
      let total = Int((Double(counts.reduce(0, +)) * share).rounded())
      let (taken, rest) = StratifiedDraw.divide(pool, by: StratifiedDraw.quotas(total, of: counts))
      pool = rest
      return taken
    }
    func part(_ part: String, _ classes: [[Int]], atMost limit: Int?) throws(TextFolderError) -> [Int] {
      let counts = classes.map(\.count)
      let quotas = StratifiedDraw.quotas(limit ?? .max, of: counts)
      let indices = StratifiedDraw.divide(classes, by: quotas).taken.joined().sorted()
      guard !indices.isEmpty else { throw .emptyPart(part, domain: name, samples: range.count) }
      return indices
    }

    // A domain has either parts or samples of no part.
    var pool = zip(shuffled(nil), shuffled(.train)).map { $0 + $1 }
    let given = (validation: shuffled(.validation), test: shuffled(.test))
    let test = given.test.allSatisfy(\.isEmpty) ? drawn(options.test, from: &pool) : given.test
    let validation = given.validation.allSatisfy(\.isEmpty) ? drawn(options.validation, from: &pool) : given.validation
    return TextSplit(
      training: try part("training", pool, atMost: options.largestTraining),
      validation: try part("validation", validation, atMost: options.largestValidation),
      test: try part("test", test, atMost: options.largestTest))
  }
}
