import Formats

/// One evaluation of one run: a line of `results.jsonl` in DomainBed's shape.
///
/// ```
/// {"args": {…}, "env0_in_acc": 0.91, "env0_out_acc": 0.88, …, "epoch": 1.5, "hparams": {…}, …, "step": 300, …}
/// ```
/// Domain `i` (sorted by name) has an "in" split, 80 % of its images, and an "out" split, the rest. Source domains are
/// trained on their "in" split; the published accuracy of a target is the one on its "in" split.
///
/// Graft adds `env{i}_in_n` and `env{i}_out_n`, the sizes of the splits, from which the accuracy on the whole domain
/// follows. DomainBed's own readers look keys up by name, so extra keys do not disturb them.
public struct ResultRecord: Equatable, Sendable {
  public var run: RunArguments
  /// `hparams`: the hyperparameters that the run used.
  public var hyperparameters: JSONObject
  /// Optimizer steps taken before this evaluation.
  public var step: Int
  /// Passes over the smallest source domain.
  public var epoch: Double
  /// Mean training loss since the previous evaluation.
  public var loss: Double?
  /// Mean seconds per optimizer step since the previous evaluation.
  public var stepTime: Double?
  /// Peak memory, in GiB (2³⁰ bytes).
  public var memory: Double?
  /// In the order of the domains' numbers.
  public var domains: [DomainScore]
  /// Any further keys, at the top level of the line.
  public var extras: JSONObject

  public init(
    run: RunArguments, hyperparameters: JSONObject = [:], step: Int, epoch: Double, loss: Double? = nil,
    stepTime: Double? = nil, memory: Double? = nil, domains: [DomainScore], extras: JSONObject = [:]
  ) {
    self.run = run
    self.hyperparameters = hyperparameters
    self.step = step
    self.epoch = epoch
    self.loss = loss
    self.stepTime = stepTime
    self.memory = memory
    self.domains = domains
    self.extras = extras
  }
}

/// The accuracies of one domain, as fractions `0...1`, and, where known, how many images they were measured on.
public struct DomainScore: Equatable, Sendable {
  public var inAccuracy: Double
  public var outAccuracy: Double
  public var inCount: Int?
  public var outCount: Int?

  public init(inAccuracy: Double, outAccuracy: Double, inCount: Int? = nil, outCount: Int? = nil) {
    self.inAccuracy = inAccuracy
    self.outAccuracy = outAccuracy
    self.inCount = inCount
    self.outCount = outCount
  }

  /// The accuracy on all images of the domain: both splits, weighted by their sizes. `nil` where the sizes are unknown.
  public var wholeAccuracy: Double? {
    guard let inCount, let outCount, inCount >= 0, outCount >= 0 else { return nil }
    let total = Double(inCount) + Double(outCount)
    guard total > 0 else { return nil }
    // An empty split has no accuracy (NaN in some writers); it must not spoil the other's.
    let correctIn = inCount == 0 ? 0 : inAccuracy * Double(inCount)
    let correctOut = outCount == 0 ? 0 : outAccuracy * Double(outCount)
    return (correctIn + correctOut) / total
  }
}

// MARK: - As a line

extension ResultRecord {
  /// The line without its newline, as Python's `json.dumps(record, sort_keys=True)` writes it, `NaN` included.
  public var json: String {
    get throws { try JSONValue.object(members).text(.python) }
  }

  private var members: JSONObject {
    var members = extras
    members["args"] = .object(run.members)
    members["hparams"] = .object(hyperparameters)
    members["step"] = .integer(step)
    members["epoch"] = .double(epoch)
    members["loss"] = loss.map(JSONValue.double)
    members["step_time"] = stepTime.map(JSONValue.double)
    members["mem_gb"] = memory.map(JSONValue.double)
    for (index, domain) in domains.enumerated() {
      members["env\(index)_in_acc"] = .double(domain.inAccuracy)
      members["env\(index)_out_acc"] = .double(domain.outAccuracy)
      members["env\(index)_in_n"] = domain.inCount.map(JSONValue.integer)
      members["env\(index)_out_n"] = domain.outCount.map(JSONValue.integer)
    }
    return members
  }

  /// - Throws: `ResultsError.invalidRecord`, which names what is missing or wrong in the line.
  public init(json: String) throws {
    let value: JSONValue
    do {
      value = try JSONValue(parsing: json, limits: Self.limits)
    } catch {
      throw ResultsError.invalidRecord(reason: "is not valid JSON (byte \(error.offset): \(error.problem))")
    }
    guard var rest = value.object else { throw ResultsError.invalidRecord(reason: "is not a JSON object") }

    func optional<Value>(_ key: String, _ read: (JSONValue) -> Value?, _ kind: String) throws -> Value? {
      defer { rest[key] = nil }
      guard let value = rest[key], !value.isNull else { return nil }
      guard let read = read(value) else {
        throw ResultsError.invalidRecord(reason: "has \(value.kind) for \"\(key)\" where \(kind) belongs")
      }
      return read
    }
    func number(_ key: String) throws -> Double? { try optional(key, \.double, "a number") }
    func whole(_ key: String) throws -> Int? { try optional(key, \.integer, "a whole number") }
    func required<Value>(_ key: String, _ value: Value?) throws -> Value {
      guard let value else { throw ResultsError.invalidRecord(reason: "has no \"\(key)\"") }
      return value
    }

    run = try RunArguments(members: required("args", optional("args", \.object, "an object")))
    hyperparameters = try optional("hparams", \.object, "an object") ?? [:]
    step = try required("step", whole("step"))
    epoch = try required("epoch", number("epoch"))
    loss = try number("loss")
    stepTime = try number("step_time")
    memory = try number("mem_gb")
    domains = []
    while let inAccuracy = try number("env\(domains.count)_in_acc") {
      let prefix = "env\(domains.count)"
      domains.append(
        DomainScore(
          inAccuracy: inAccuracy, outAccuracy: try required("\(prefix)_out_acc", number("\(prefix)_out_acc")),
          inCount: try whole("\(prefix)_in_n"), outCount: try whole("\(prefix)_out_n")))
    }
    extras = rest
    try validate()
  }

  /// Python writes what is not a number, and so do diverged runs.
  private static var limits: JSONLimits {
    var limits = JSONLimits()
    limits.allowsNonFiniteNumbers = true
    return limits
  }

  /// A domain that the target list names must have been scored, and no key may be written twice. A run that leaves no
  /// domain out has an empty list.
  func validate() throws {
    if let missing = run.testDomains.first(where: { !domains.indices.contains($0) }) {
      throw ResultsError.invalidRecord(
        reason:
          "has domain \(missing) in \"test_envs\" but no \"env\(missing)_in_acc\" (\(domains.count) domains scored)")
    }
    if let stray = extras.keys.sorted().first(where: Self.isReserved) {
      throw ResultsError.invalidRecord(reason: "has \"\(stray)\", which belongs to no scored domain")
    }
  }

  /// Whether DomainBed's readers, or ours, give the key a meaning of its own.
  private static func isReserved(_ key: String) -> Bool {
    if ["args", "hparams", "step", "epoch", "loss", "step_time", "mem_gb"].contains(key) { return true }
    return key.wholeMatch(of: /env[0-9]+_(in|out)_(acc|n)/) != nil
  }
}
