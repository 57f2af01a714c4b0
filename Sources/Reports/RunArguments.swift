import Formats

/// What identifies a run: the `args` of a record, DomainBed's command line.
public struct RunArguments: Equatable, Sendable {
  public var dataset: String
  public var algorithm: String
  /// The numbers of the target domains; one of them in leave-one-domain-out, two where runs serve cross-validation.
  public var testDomains: [Int]
  /// Which trial: seeds the split of each domain.
  public var trialSeed: Int
  /// Which draw of hyperparameters; 0 is the defaults.
  public var hparamsSeed: Int
  /// Seeds everything but the split.
  public var seed: Int
  public var outputDirectory: String?
  /// Any further arguments, under the names they are written with.
  public var others: JSONObject

  public init(
    dataset: String, algorithm: String, testDomains: [Int], trialSeed: Int = 0, hparamsSeed: Int = 0, seed: Int = 0,
    outputDirectory: String? = nil, others: JSONObject = [:]
  ) {
    self.dataset = dataset
    self.algorithm = algorithm
    self.testDomains = testDomains
    self.trialSeed = trialSeed
    self.hparamsSeed = hparamsSeed
    self.seed = seed
    self.outputDirectory = outputDirectory
    self.others = others
  }

  /// DomainBed's names for the arguments.
  var members: JSONObject {
    var members = others
    members["dataset"] = .string(dataset)
    members["algorithm"] = .string(algorithm)
    members["test_envs"] = .array(testDomains.map(JSONValue.integer))
    members["trial_seed"] = .integer(trialSeed)
    members["hparams_seed"] = .integer(hparamsSeed)
    members["seed"] = .integer(seed)
    members["output_dir"] = outputDirectory.map(JSONValue.string)
    return members
  }

  /// The five arguments that DomainBed's tables are grouped by must be there; `seed` and `output_dir` may be missing.
  init(members: JSONObject) throws {
    var rest = members
    func required<Value>(_ key: String, _ kind: String, _ read: (JSONValue) -> Value?) throws -> Value {
      defer { rest[key] = nil }
      guard let value = rest[key] else {
        throw ResultsError.invalidRecord(reason: "has no \"\(key)\" in its \"args\"")
      }
      guard let read = read(value) else {
        throw ResultsError.invalidRecord(
          reason: "has \(value.kind) for \"\(key)\" in its \"args\" where \(kind) belongs")
      }
      return read
    }
    dataset = try required("dataset", "a string", \.string)
    algorithm = try required("algorithm", "a string", \.string)
    testDomains = try required("test_envs", "a list of different domain numbers") { value in
      guard let list = value.array else { return nil }
      let numbers = list.compactMap(\.integer)
      return numbers.count == list.count && Set(numbers).count == numbers.count ? numbers : nil
    }
    trialSeed = try required("trial_seed", "a whole number", \.integer)
    hparamsSeed = try required("hparams_seed", "a whole number", \.integer)
    seed = rest["seed"] == nil ? 0 : try required("seed", "a whole number", \.integer)
    outputDirectory = rest["output_dir"]?.string
    rest["output_dir"] = nil
    others = rest
  }
}
