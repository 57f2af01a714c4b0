import Adapters
import Datasets
import Formats
import Foundation
import MetaTuning
import NeuralNetworks
import Reports
import Tensors
import Training

/// Meta-tuning compared: networks meta-tuned on some data sets, tested on unseen classes of these and on data sets that they
/// never saw, over methods, learning rates and seeds, and over scales of what was learned.
///
/// After Chen et al. 2024, arXiv:2403.08477, on any data: unseen classes of the data sets tuned on, and other data sets. Whole
/// frontiers, with rates and scales chosen by validation classes, are ours: the gain of one method over another at one rate can be
/// one of step size.
///
/// Under `output` each piece of work has a folder, named by what it is and by a hash of everything that decides its numbers but for
/// the pixels: what is done is not done again, other settings make other folders, and several processes may work in one output
/// folder at once.
public struct FewShotStudy: AsyncSequence, Sendable {
  public typealias Element = FewShotStudyEvent
  /// The images of the data, `[count, 3, size, size]`, for a network; varied in training where there is an augmentation.
  public typealias Images =
    @Sendable (
      _ size: Int, _ normalization: Normalization, _ augmentation: TrainingTransform.Settings?
    ) async throws -> ImageExamples

  public let data: FewShotFolder
  public let networks: [FewShotNetwork]
  public let configuration: FewShotStudyConfiguration
  public let images: Images
  public let output: URL
  /// All there is to do, in the order in which it is begun.
  public let runs: [FewShotRun]

  /// - Throws: `StudyError`, and what the first of the networks, methods and samplers throws that does not fit: nothing starts
  ///   before.
  public init(
    of networks: [FewShotNetwork], on data: FewShotFolder, configuration: FewShotStudyConfiguration,
    images: @escaping Images, output: URL
  ) throws {
    func check(_ names: [String], _ what: String) throws {
      guard !names.isEmpty, Set(names).count == names.count else { throw StudyError.names(names, of: what) }
    }
    try check(networks.map(\.name), "networks")
    try check(configuration.training + configuration.unseen, "data sets")
    guard !configuration.training.isEmpty, !configuration.unseen.isEmpty else {
      throw StudyError.names([], of: "data sets, to meta-tune on and others,")
    }
    guard !configuration.seeds.isEmpty, Set(configuration.seeds).count == configuration.seeds.count,
      configuration.seeds.allSatisfy({ $0 <= UInt64(Int.max) })
    else { throw StudyError.seeds(configuration.seeds) }
    for (setting, count) in [
      ("test_count", configuration.testCount), ("validation_count", configuration.validationCount),
    ]
    where !(1...1_000_000).contains(count) {
      throw StudyError.range(setting: setting, value: "\(count)", allowed: "1 to 1000000")
    }
    for network in networks {
      try check(network.methods.map(\.name), "methods of '\(network.name)'")
      guard network.methods.contains(where: { $0.name == configuration.reference }) else {
        throw StudyError.noReference(configuration.reference, network: network.name)
      }
      for method in network.methods {
        guard Set(method.rates).count == method.rates.count, !method.rates.isEmpty else {
          throw StudyError.values("rates", method.rates, of: method.name)
        }
        guard Set(method.scales).count == method.scales.count, method.scales.contains(1) else {
          throw StudyError.values("scales, 1 among them,", method.scales, of: method.name)
        }
        for rate in method.rates { try method.configuration(at: rate).validate() }
      }
      if case .pretraining(let pretraining) = network.source {
        try pretraining.network.validate()
        try pretraining.recipe.validate()
        _ = try data.pools(.training, named: pretraining.datasets)
      }
    }
    self.data = data
    self.networks = networks
    self.configuration = configuration
    self.images = images
    self.output = output
    runs = try Self.plan(networks, data, configuration)
    try checkEpisodes()
  }

  public func makeAsyncIterator() -> EventIterator<FewShotStudyEvent> {
    EventIterator { send in try await run(send) }
  }

  /// What is recorded, without doing anything.
  public func report() throws -> FewShotReport { try FewShotReport(of: self, failures: []) }

  private var work: SharedWork<FewShotRun> { SharedWork(output: output, runs: runs) }

  public func folder(of run: FewShotRun) -> RunFolder { work.folder(of: run) }

  func checkpoints(of run: FewShotRun) -> URL {
    folder(of: run).url.appendingPathComponent("checkpoints", isDirectory: true)
  }

  // MARK: The plan

  /// Seed by seed, so that what is there after an early end is whole for some of them.
  private static func plan(
    _ networks: [FewShotNetwork], _ data: FewShotFolder, _ configuration: FewShotStudyConfiguration
  ) throws -> [FewShotRun] {
    let common: JSONObject = [
      "data": .string(data.fingerprint), "training": .array(configuration.training.map(JSONValue.string)),
      "unseen": .array(configuration.unseen.map(JSONValue.string)),
      "test_episodes": try JSONValue(encoding: configuration.testEpisodes),
      "test_count": .integer(configuration.testCount), "validation_count": .integer(configuration.validationCount),
    ]
    var runs: [FewShotRun] = []
    for seed in configuration.seeds {
      for network in networks {
        var own = common
        own["image_size"] = .integer(network.imageSize)
        switch network.source {
        case .pretrained(let backbone): own["fingerprint"] = .string(backbone.fingerprint)
        case .pretraining(let pretraining):
          let others: JSONObject = [
            "data": .string(data.fingerprint), "network": try JSONValue(encoding: pretraining.network),
            "datasets": .array(pretraining.datasets.map(JSONValue.string)),
            "recipe": try JSONValue(encoding: pretraining.recipe),
          ]
          let run = try FewShotRun(.pretraining, backbone: network.name, seed: seed, others: others)
          runs.append(run)
          own["fingerprint"] = .string(run.folderName)
        }
        runs.append(try FewShotRun(.frozen, backbone: network.name, seed: seed, others: own))
        for method in network.methods {
          for rate in method.rates {
            var others = own
            others["settings"] = try JSONValue(encoding: method.configuration(at: rate))
            others["scales"] = .array(method.scales.map(JSONValue.double))
            runs.append(
              try FewShotRun(
                .tuning, backbone: network.name, method: method.name, rate: rate, seed: seed, others: others))
          }
        }
      }
    }
    return runs
  }

  // MARK: The work

  private func run(_ send: @escaping @Sendable (FewShotStudyEvent) -> Void) async throws {
    let failures = try await work.perform(send) { run, progress in try await perform(run, progress) }
    send(.completed(try FewShotReport(of: self, failures: failures)))
  }

  typealias Progress = @Sendable (_ done: Int, _ count: Int) -> Void

  private func perform(_ run: FewShotRun, _ progress: @escaping Progress) async throws {
    guard let network = networks.first(where: { $0.name == run.backbone }) else {
      throw StudyError.names([run.backbone], of: "networks")
    }
    if run.phase == .pretraining {
      try await pretrain(network, run, progress)
    } else {
      try await measure(network, run, progress)
    }
    // What is kept is the network or the result.
    try? FileManager.default.removeItem(at: checkpoints(of: run))
    try folder(of: run).markDone()
  }
}

extension FewShotMethod {
  func configuration(at rate: Double) -> MetaConfiguration {
    var own = configuration
    own.deltaRate = rate
    return own
  }
}

extension FewShotFolder {
  /// Tells other images, another division of the classes or other groups apart; the paths, not the pixels.
  fileprivate var fingerprint: String {
    let samples = folder.samples.map { "\($0.path)\0\($0.label)\n" }.joined()
    let classes = splits.map { own in
      own.dataset + ClassSplit.allCases.map { "\0\($0.rawValue)\0" + own[$0].joined(separator: "\0") }.joined()
        + "\0\(own.hierarchy.map { "\($0)" } ?? "")\n"
    }
    return FileDigest.sha256(of: Data((samples + classes.joined()).utf8))
  }
}
