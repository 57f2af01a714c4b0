import Adapters
import Foundation
import Mixing
import NeuralNetworks
import Reports
import Tensors
import Testing
import Training

@testable import Studies

@Suite struct DomainMixtureStudyTests {
  private func makeStudy(
    in folder: TemporaryFolder, steps: Int = 30, seeds: [UInt64] = [0], sets: MixtureSets = .all,
    _ change: (inout StudyConfiguration) -> Void = { _ in }
  ) throws -> DomainMixtureStudy {
    var configuration = StudyConfiguration()
    configuration.recipe = toyRecipe(steps: steps)
    configuration.seeds = seeds
    configuration.sets = sets
    configuration.randomOrders = 3
    configuration.similarityExamples = 10
    change(&configuration)
    return try DomainMixtureStudy(
      of: toyDomains(angles: [0.2, 0.6, 1.0], training: 200, test: 60), backbone: ResidualNet(),
      kinds: [
        StudyKind(Method("Bottleneck", toyBottleneck())),
        StudyKind(Method("LoRA", LoRA(rank: 2), at: [.fc1], learningRate: 1e-2), space: .delta),
      ], configuration: configuration, output: folder.url)
  }

  /// The records of a run as they lie on the disk.
  private func text(_ phase: StudyRun.Phase, _ study: DomainMixtureStudy, _ kind: String) throws -> String {
    let run = try #require(study.runs.first { $0.phase == phase && $0.kind == kind })
    return try String(contentsOf: RecordFile<MixtureRecord>(in: study.folder(of: run).url).url, encoding: .utf8)
  }

  @Test func `every mixture is measured on its members, and the report is of all`() async throws {
    let folder = try TemporaryFolder()
    let study = try makeStudy(in: folder)
    let report = try await study.finish()
    #expect(report.isComplete && report.failures.isEmpty)
    #expect(study.runs.map(\.phase).filter { $0 == .training }.count == 6)
    for kind in report.kinds {
      #expect(kind.sizes.map(\.count) == [1, 2, 3])
      #expect(kind.sizes.map(\.measured) == [3, 6, 3])
      #expect(kind.sizes[0].relative.mean == 1)
      #expect(kind.sizes[0].accuracy.mean > 0.6)
      // One seed has no standard error.
      #expect(kind.sizes[0].accuracy.standardError == nil)
      #expect(kind.pairs[0][1] > 0.1 && kind.pairs[0][1] < 0.6 && kind.pairs[0][0] == 0)
      #expect(kind.orders.map(\.rule) == ["static", "adaptive", "descending", "similarity", "random"])
      // With all domains every order has the same mixture, and with one its own adapter.
      for size in [0, 2] {
        #expect(Set(kind.orders.map { (1e9 * ($0.accuracies[size]?.mean ?? 0)).rounded() }).count == 1)
      }
    }
    #expect(report.similarities.count == 3)
    #expect(report.markdown.contains("| Bottleneck | 2 | 6 |"))
    #expect(report.figures.map(\.name).contains("fsd-map-lora.svg"))
  }

  @Test func `a mixture of one is the trained adapter, and of two the mean of the changes`() async throws {
    let folder = try TemporaryFolder()
    let study = try makeStudy(in: folder)
    _ = try await study.finish()
    let run = try #require(study.runs.first { $0.phase == .mixtures && $0.kind == "LoRA" })
    let members = try study.members(of: run)
    let trained = study.runs.filter { $0.phase == .training && $0.kind == "LoRA" }
    let models = try trained.map {
      try study.backbone.adapted(from: study.folder(of: $0).url.appendingPathComponent("adapter"))
    }
    try members.vectors[0].load(into: members.carrier)
    let input = study.domains[0].examples
    let x = try #require(input as? TensorExamples).inputs
    let carried = try withoutGradients {
      try study.backbone.features(x, adaptation: members.carrier, pass: .init())
    }
    let own = try withoutGradients { try models[0].features(x) }
    #expect(try carried.isClose(to: own, tolerance: 1e-5))
    // All start alike: LoRA at no change.
    #expect(members.initial.values.allSatisfy { $0 == 0 })
    var sum = MixtureSum(of: members.vectors)
    let mean = try sum.mean(of: MixtureSet([0, 1])).values
    #expect(abs(mean[7] - (members.vectors[0].values[7] + members.vectors[1].values[7]) / 2) < 1e-7)
  }

  @Test func `adapters of one kind and seed start alike, of another seed elsewhere`() async throws {
    let folder = try TemporaryFolder()
    let study = try makeStudy(in: folder, steps: 1, seeds: [0, 1])
    _ = try await study.finish()
    let runs = study.runs.filter { $0.phase == .mixtures && $0.kind == "Bottleneck" }
    let starts = try runs.map { try study.members(of: $0).initial.values }
    #expect(starts.count == 2 && starts[0] != starts[1])
    // After one step of Adam at 3e-3 nothing is farther than that from where it began.
    for vector in try study.members(of: runs[0]).vectors {
      #expect(zip(vector.values, starts[0]).allSatisfy { abs($0 - $1) <= 3.001e-3 })
    }
  }

  @Test func `what is done is not done again, and a study that was stopped goes on exactly`() async throws {
    let folder = try TemporaryFolder()
    let study = try makeStudy(in: folder)
    _ = try await study.finish()
    let whole = try text(.mixtures, study, "Bottleneck")
    // As if killed in the middle of a part: records of two sets, no mark.
    let run = try #require(study.runs.first { $0.phase == .mixtures && $0.kind == "Bottleneck" })
    let place = study.folder(of: run)
    let lines = whole.split(separator: "\n")
    let file = RecordFile<MixtureRecord>(in: place.url).url
    try Data((lines.prefix(2).joined(separator: "\n") + "\n").utf8).write(to: file)
    try FileManager.default.removeItem(at: place.url.appendingPathComponent("done"))
    var started: [StudyRun] = []
    var planned = (runs: 0, done: 0)
    for try await event in study {
      if case .started(let run) = event { started.append(run) }
      if case .planned(let runs, let done) = event { planned = (runs, done) }
    }
    #expect(started == [run])
    #expect(planned == (study.runs.count, study.runs.count - 1))
    #expect(try text(.mixtures, study, "Bottleneck") == whole)
  }

  @Test func `other settings make other work, and the settings of one part leave the others alone`() throws {
    let folder = try TemporaryFolder()
    let first = try makeStudy(in: folder)
    let longer = try makeStudy(in: folder, steps: 31)
    func names(_ study: DomainMixtureStudy, _ phase: StudyRun.Phase) -> Set<String> {
      Set(study.runs.filter { $0.phase == phase }.map(\.folderName))
    }
    #expect(names(first, .training).isDisjoint(with: names(longer, .training)))
    #expect(names(first, .mixtures).isDisjoint(with: names(longer, .mixtures)))
    let pruned = try makeStudy(in: folder) { $0.pruning = .init() }
    #expect(names(first, .mixtures) == names(pruned, .mixtures))
    #expect(Set(first.runs.map(\.folderName)).count == first.runs.count)
  }

  @Test func `a sample of sets has the mixtures that orders come by beside it`() async throws {
    let folder = try TemporaryFolder()
    let sampled = try makeStudy(in: folder, sets: .sampled(upTo: 2, count: 0, seed: 0))
    let report = try await sampled.finish()
    #expect(report.kinds[0].sizes.map(\.measured) == [3, 6, 3])
    #expect(report.kinds[0].orders.allSatisfy { !$0.accuracies.contains(nil) })
  }

  @Test func `pruning keeps what it is asked to, and all of it is nothing`() async throws {
    let folder = try TemporaryFolder()
    let study = try makeStudy(in: folder) { configuration in
      var curve = StudyConfiguration.PruningCurve()
      curve.densities = [1, 0.25]
      curve.sizes = [2]
      configuration.pruning = curve
    }
    let kind = try #require(try await study.finish().kinds.first)
    let criteria = ["magnitude", "conflicts-first", "minority-first", "random"]
    let single = kind.sizes[0].accuracy.mean
    let mixed = kind.sizes[2].accuracy.mean
    for criterion in criteria {
      let points = kind.pruning.filter { $0.criterion == criterion }
      let orders = criterion.hasSuffix("first") ? 3 : 5
      #expect(points.count == 2 * orders)
      for point in points { #expect(abs(point.kept.mean - (point.density ?? 0)) < 0.01) }
      #expect(points.first { $0.order == "single" && $0.density == 1 }?.accuracy.mean == single)
      let whole = points.first { $0.order == "prune, mix" && $0.density == 1 && $0.size == 3 }
      #expect(abs((whole?.accuracy.mean ?? 0) - mixed) < 0.02)
      #expect(
        abs((whole?.ignoringZeros?.mean ?? 0) - (kind.pairs[0][1] + kind.pairs[0][2] + kind.pairs[1][2]) / 3) < 1e-9)
    }
    // Masks of members are independent: of two weights both stay with probability ρ².
    let signs = (kind.pairs[0][1] + kind.pairs[0][2] + kind.pairs[1][2]) / 3
    let random = kind.pruning.first {
      $0.criterion == "random" && $0.density == 0.25 && $0.size == 3 && $0.ignoringZeros != nil
    }
    #expect(abs((random?.ignoringZeros?.mean ?? 0) / (signs * 0.25 * 0.25) - 1) < 0.3)
    let consensus = kind.pruning.filter { $0.criterion == "consensus" }
    #expect(consensus.map(\.size).sorted() == [2, 3])
    #expect(consensus.allSatisfy { $0.kept.mean < 1 && $0.density == nil })
  }

  @Test func `what cannot be studied is refused`() throws {
    let folder = try TemporaryFolder()
    let domains = try toyDomains(angles: [0.2, 0.6], training: 20, test: 10)
    func make(_ domains: [StudyDomain], _ kinds: [StudyKind], _ configuration: StudyConfiguration = .init()) throws {
      _ = try DomainMixtureStudy(
        of: domains, backbone: ResidualNet(), kinds: kinds, configuration: configuration, output: folder.url)
    }
    let kind = StudyKind(Method("Bottleneck", toyBottleneck()))
    #expect(throws: StudyError.domains(["domain 0"])) { try make([domains[0]], [kind]) }
    #expect(throws: StudyError.names(["domain 0", "domain 0"], of: "domains")) {
      try make([domains[0], domains[0]], [kind])
    }
    #expect(throws: StudyError.names([], of: "kinds of adapters")) { try make(domains, []) }
    let changes = StudyKind(Method("Bottleneck", toyBottleneck()), space: .delta)
    #expect(throws: StudyError.noChange(kind: "Bottleneck", site: "blocks.0.mlp.fc1")) { try make(domains, [changes]) }
    var tuned = LoRA(rank: 2)
    tuned.tunedTensors = ["stem"]
    #expect(throws: StudyError.besideMaps(kind: "LoRA", place: "stem")) {
      try make(domains, [StudyKind(Method("LoRA", tuned, at: [.fc1]), space: .delta)])
    }
    _ = try make(domains, [StudyKind(Method("LoRA", tuned, at: [.fc1]))])
    var attacked = StudyConfiguration()
    attacked.robustness = .init()
    #expect(throws: (any Error).self) { try make(domains, [kind], attacked) }
    var twice = StudyConfiguration()
    twice.seeds = [1, 1]
    #expect(throws: StudyError.seeds([1, 1])) { try make(domains, [kind], twice) }
    var dense = StudyConfiguration()
    dense.pruning = .init()
    dense.pruning?.densities = [0]
    #expect(throws: StudyError.range(setting: "pruning.densities", value: "0.0", allowed: "above 0, to 1")) {
      try make(domains, [kind], dense)
    }
  }
}
