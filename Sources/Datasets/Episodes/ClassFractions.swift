/// The parts of its classes that a data set without a file of splits gives to training, validation and test.
public struct ClassFractions: Sendable, Hashable {
  /// 0...1
  public let training: Double
  public let validation: Double
  /// The rest.
  public var test: Double { 1 - training - validation }

  public static let usual = ClassFractions(trusted: 0.6, 0.15)
  /// For data sets that are only tested on.
  public static let testOnly = ClassFractions(trusted: 0, 0)

  /// - Throws: `FewShotError.fractions` for one below 0, or where both are more than 1 together.
  public init(training: Double, validation: Double) throws(FewShotError) {
    guard training >= 0, validation >= 0, training + validation <= 1 else {
      throw .fractions(training: training, validation: validation)
    }
    self.init(trusted: training, validation)
  }

  private init(trusted training: Double, _ validation: Double) {
    self.training = training
    self.validation = validation
  }

  /// Deals the classes of a data set: each draws a number from the seed, the data set's name and its own, and the
  /// lowest numbers are for training. So the order of the classes changes nothing, and a class more or less moves few
  /// others.
  func splits(of classes: [String], dataset: String, seed: UInt64) -> [ClassSplit: [String]] {
    let stream = Self.hash(dataset)
    let drawn = classes.map { name in
      var generator = Xoshiro256(seed: seed, stream: RandomStream.classSplit, stream, Self.hash(name))
      return (name: name, number: generator.next())
    }
    let ranked = drawn.sorted { $0.number < $1.number }.map(\.name)
    let count = Double(ranked.count)
    let first = min(ranked.count, Int((count * training).rounded()))
    let second = min(ranked.count, max(first, Int((count * (training + validation)).rounded())))
    return [
      .training: DomainFolderReader.byCodePoint(ranked[..<first]),
      .validation: DomainFolderReader.byCodePoint(ranked[first..<second]),
      .test: DomainFolderReader.byCodePoint(ranked[second...]),
    ]
  }

  private static func hash(_ text: String) -> UInt64 { Array(text.utf8).withUnsafeBytes { XXH64.hash($0) } }
}
