import Adapters
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

@Suite struct MixTests {
  private let backbone: MixingBackbone

  init() throws { backbone = try MixingBackbone() }

  private func adapted(_ lora: LoRA, _ targets: Targets = [.fc1, .fc2], seed: UInt64) throws -> AdaptedModel {
    let model = try backbone.adapted(by: lora, at: targets, seed: seed)
    try model.adapter.perturb(seed: seed + 100)
    return model
  }

  /// `ΔW` at a place, zero where the adapter leaves it alone.
  private func change(_ adapter: Adapter, _ site: Site) throws -> Tensor {
    try adapter.delta(of: backbone.linear(at: site))?.weight?.materialized().detached()
      ?? .zeros([site.outFeatures, site.inFeatures])
  }

  private func expectSum(_ result: MixResult, _ terms: [(Double, AdaptedModel)], tolerance: Double = 1e-5) throws {
    for site in backbone.sites {
      let expected = try terms.reduce(Tensor.zeros([site.outFeatures, site.inFeatures])) {
        try $0 + change($1.1.adapter, site) * $1.0
      }
      #expect(try change(result.model.adapter, site).isClose(to: expected, tolerance: tolerance), "\(site.name)")
    }
  }

  /// LoRAs of rank 1 whose changes are the first and the second unit of the diagonal.
  private func units() throws -> [MixMember] {
    try ["a", "b"].enumerated().map { index, name in
      let model = try backbone.adapted(by: LoRA(rank: 1, alpha: 1), at: [.fc1], blocks: .only([0]), seed: 4)
      let parameters = model.adapter.parameters
      try parameters[0].load(Tensor((0..<6).map { $0 == index ? Float(1) : 0 }, shape: [1, 6]))
      try parameters[1].load(Tensor((0..<10).map { $0 == index ? Float(1) : 0 }, shape: [10, 1]))
      return MixMember(name, model, weight: 0.5)
    }
  }

  private func corner(_ mix: Mix) throws -> (values: [Float], report: MixReport) {
    let result = try mix.result()
    let matrix = try change(result.model.adapter, backbone.sites[0])
    return (try matrix.narrowed(0, 0..<2).narrowed(1, 0..<2).contiguous().floats(), result.report)
  }

  @Test func `two orthogonal changes, in every space and form`() throws {
    let sides = try corner(Mix(units(), by: Weighted()))
    #expect(sides.values == [0.5, 0, 0, 0.5])
    #expect(sides.report.places.map(\.rank) == [2])
    #expect(sides.report.relativeError == 0)
    #expect(try corner(Mix(units(), by: Weighted(), form: .dense)).values == [0.5, 0, 0, 0.5])
    let exact = try corner(Mix(units(), by: Weighted(), form: .rank(2)))
    for (found, expected) in zip(exact.values, [0.5, 0, 0, 0.5] as [Float]) { #expect(abs(found - expected) < 1e-6) }
    // Of two singular values .5 one is lost: .5 of √.5.
    let halved = try corner(Mix(units(), by: Weighted(), form: .rank(1))).report
    #expect(abs(halved.relativeError - 0.5.squareRoot()) < 1e-6)
    #expect(try corner(Mix(units(), by: Weighted(), space: .factors)).values == [0.25, 0.25, 0.25, 0.25])
    for value in try corner(Mix(units(), by: TaskArithmetic(), space: .peftFactors)).values {
      #expect(abs(value - 0.5) < 1e-6)
    }
  }

  @Test(arguments: [2, 3, 4]) func `PEFT's factors give k times the change of k equal members`(_ count: Int) throws {
    let model = try adapted(LoRA(rank: 2, alpha: 6), seed: 1)
    let members = (0..<count).map { MixMember("\($0)", model, weight: 1 / Double(count)) }
    let result = try Mix(members, by: TaskArithmetic(), space: .peftFactors).result()
    try expectSum(result, [(Double(count), model)])
    try expectSum(try Mix(members, by: TaskArithmetic()).result(), [(1, model)])
  }

  @Test func `ranks, scales, targets and methods may differ, and the sum is exact`() throws {
    let first = try adapted(LoRA(rank: 1, alpha: 3), [.fc1], seed: 1)
    var stabilized = LoRA(rank: 2, alpha: 5)
    stabilized.rankStabilized = true
    let second = try adapted(stabilized, seed: 2)
    var dora = DoRA()
    dora.rank = 2
    let third = try backbone.adapted(by: dora, at: [.fc2], seed: 3)
    try third.adapter.perturb(seed: 33)
    let sums = try Mix(
      [MixMember("a", first, weight: 0.5), MixMember("b", second, weight: 2)], by: TaskArithmetic(),
      form: .concatenated
    ).result()
    try expectSum(sums, [(0.5, first), (2, second)])
    #expect(sums.report.places.map(\.rank) == [3, 2, 3, 2])
    #expect((sums.model.adapter.configuration as? LoRA)?.scale == 1)
    #expect(sums.model.adapter.initialSeed == nil)
    let all = try Mix([MixMember("a", first), MixMember("b", second), MixMember("c", third)]).result()
    try expectSum(all, [(1.0 / 3, first), (1.0 / 3, second), (1.0 / 3, third)])
    #expect(all.model.adapter.configuration is DeltaTuning)
  }

  @Test func `a rule for numbers sees the changes, dense or of limited rank`() throws {
    let models = try (1...3).map { try adapted(.small, seed: $0) }
    let members = models.enumerated().map { MixMember("\($0)", $1) }
    let dense = try Mix(members, by: TIES(density: 0.5)).result()
    for site in backbone.sites {
      let layout = AdapterLayout([("weight", [site.outFeatures, site.inFeatures], 0, true)])
      let vectors = try models.map { try AdapterVector(layout, change($0.adapter, site).floats()) }
      let expected = try TIES(density: 0.5).mix(vectors)
      #expect(try change(dense.model.adapter, site).floats() == expected.values)
    }
    let limited = try Mix(members, by: TIES(density: 0.5), form: .rank(3)).result()
    var (lost, total) = (0.0, 0.0)
    for (site, place) in zip(backbone.sites, limited.report.places) {
      let (exact, found) = try (change(dense.model.adapter, site), change(limited.model.adapter, site))
      let error: Double = try (exact - found).norm().item()
      let norm: Double = try exact.norm().item()
      #expect(abs(place.relativeError - error / norm) < 1e-5)
      lost += error * error
      total += norm * norm
    }
    #expect(abs(limited.report.relativeError - (lost / total).squareRoot()) < 1e-5)
  }

  @Test func `the report has the length beside that of the members`() throws {
    let models = try (1...2).map { try adapted(.small, seed: $0) }
    let report = try Mix([MixMember("a", models[0]), MixMember("b", models[1])]).result().report
    var norms = [0.0, 0.0, 0.0]
    for site in backbone.sites {
      let changes = try models.map { try change($0.adapter, site) }
      for (index, matrix) in (changes + [try (changes[0] + changes[1]) * 0.5]).enumerated() {
        norms[index] += try matrix.squared().sum().item()
      }
    }
    norms = norms.map { $0.squareRoot() }
    #expect(abs(report.norm - norms[2]) < 1e-5)
    #expect(abs(report.normRatio - norms[2] / ((norms[0] + norms[1]) / 2)) < 1e-5)
  }

  @Test func `KnOTS with a plain sum is the sum`() throws {
    let models = try (1...3).map { try adapted(.small, seed: $0) }
    let members = models.enumerated().map { MixMember("\($0)", $1, weight: 0.5) }
    let result = try Mix(members, by: KnOTS(TaskArithmetic())).result()
    try expectSum(result, models.map { (0.5, $0) })
    let ties = try Mix(members, by: KnOTS(TIES(density: 0.5))).result()
    #expect(
      try !change(ties.model.adapter, backbone.sites[0]).isClose(
        to: change(result.model.adapter, backbone.sites[0]), tolerance: 1e-3))
  }

  @Test func `LayerNorms and biases that were tuned are averaged`() throws {
    let norms = try backbone.adapted(by: LayerNormTuning())
    try norms.adapter.perturb(seed: 5)
    let biases = try backbone.adapted(by: BiasTuning())
    try biases.adapter.perturb(seed: 6)
    let lora = try adapted(.small, seed: 7)
    let members = [
      MixMember("norms", norms, weight: 1), MixMember("biases", biases, weight: 2), MixMember("lora", lora, weight: 1),
    ]
    let result = try Mix(members, by: Weighted()).result()
    for (name, original) in backbone.tensors where name.hasSuffix("bias") || name.contains("norm") {
      let changes = try zip(members, [0.25, 0.5, 0.25]).map { member, share in
        try (member.model.adapter.value(of: name, original: original).detached() - original) * share
      }
      let expected = try changes.reduce(original) { try $0 + $1 }
      #expect(
        try result.model.adapter.value(of: name, original: original).detached().isClose(to: expected, tolerance: 1e-6),
        "\(name)")
    }
    try expectSum(result, [(0.25, lora)])
    // What ends in one adapter computes the mean of what was tuned, on inputs too.
    let input = try Tensor.normal([2, 3, MixingBackbone.width], from: Generator(seed: 8))
    let folder = FileManager.default.temporaryDirectory.appending(path: "graft-mix-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try result.save(to: folder)
    let loaded = try backbone.adapted(from: folder)
    #expect(try loaded.features(input).isEqual(to: result.model.features(input)))
    #expect(try MixProvenance(in: folder) == result.provenance)
  }

  @Test func `a bias that LoRA adds becomes part of the map's own`() throws {
    var lora = LoRA(rank: 2, alpha: 6)
    lora.hasBias = true
    let model = try adapted(lora, [.fc1], seed: 1)
    let result = try Mix([MixMember("a", model), MixMember("b", adapted(.small, seed: 2))]).result()
    for site in backbone.sites where site.role == .fc1 {
      let original = try backbone.tensor("\(site.name).bias")
      let shift = try #require(try model.adapter.delta(of: backbone.linear(at: site))?.bias).detached()
      let found = try result.model.adapter.value(of: "\(site.name).bias", original: original).detached()
      #expect(try found.isClose(to: original + shift * 0.5, tolerance: 1e-6))
    }
  }

  @Test func `full fine-tuning is a change like any other`() throws {
    let full = try backbone.adapted(by: FullFineTuning())
    try full.adapter.perturb(seed: 5)
    let lora = try adapted(.small, seed: 7)
    let result = try Mix([MixMember("full", full), MixMember("lora", lora)]).result()
    for site in backbone.sites {
      let original = try backbone.tensor("\(site.name).weight")
      let tuned = try full.adapter.value(of: "\(site.name).weight", original: original).detached() - original
      let expected = try (tuned + change(lora.adapter, site)) * 0.5
      #expect(try change(result.model.adapter, site).isClose(to: expected, tolerance: 1e-5))
    }
  }

  @Test func `bottlenecks are refused as changes, and mixed as factors from the start that they share`() throws {
    let models = try (1...2).map { seed in
      let model = try backbone.adapted(by: Pfeiffer(), seed: 11)
      try model.adapter.perturb(seed: UInt64(seed))
      return model
    }
    let members = [MixMember("a", models[0]), MixMember("b", models[1])]
    let error = #expect(throws: MixtureError.self) { try Mix(members).result() }
    #expect(error?.description.contains("--space factors") == true)
    let result = try Mix(members, by: TaskArithmetic(), space: .factors).result()
    #expect(result.provenance.fromSharedStart)
    #expect(result.report.warnings.isEmpty)
    let initial = try AdapterVector(#require(try models[0].adapter.initial(of: backbone)))
    let (first, second) = try (AdapterVector(models[0].adapter), AdapterVector(models[1].adapter))
    let mixed = try AdapterVector(result.model.adapter)
    for index in mixed.values.indices {
      let expected = first.values[index] + second.values[index] - initial.values[index]
      #expect(abs(mixed.values[index] - expected) < 1e-5)
    }
  }

  @Test func `factors from different starts are mixed with a warning`() throws {
    let members = try (1...2).map { MixMember("\($0)", try adapted(.small, seed: UInt64($0))) }
    let result = try Mix(members, space: .factors).result()
    #expect(result.report.warnings.count == 1)
    #expect(!result.provenance.fromSharedStart)
  }

  @Test func `factors of different settings are refused`() throws {
    let members = [
      MixMember("a", try adapted(LoRA(rank: 2, alpha: 4), seed: 1)),
      MixMember("b", try adapted(LoRA(rank: 2, alpha: 8), seed: 1)),
    ]
    #expect(throws: MixingError.self) { try Mix(members, space: .factors).result() }
    #expect(throws: MixtureError.needsChanges("knots")) {
      try Mix([members[0], MixMember("c", members[0].model)], by: KnOTS(), space: .factors).result()
    }
  }

  @Test func `names, networks, NaN and empty selections are refused`() throws {
    let model = try adapted(.small, seed: 1)
    #expect(throws: MixtureError.empty) { try Mix([]).result() }
    #expect(throws: MixtureError.duplicate("a")) { try Mix([MixMember("a", model), MixMember("a", model)]).result() }
    let other = try MixingBackbone(seed: 2).adapted(by: .lora(rank: 2), at: [.fc1])
    #expect(
      throws: MixtureError.otherBackbone("b", found: "miniature 2 2", expected: "miniature 2 1", of: "a")
    ) { try Mix([MixMember("a", model), MixMember("b", other)]).result() }
    let damaged = try adapted(.small, seed: 2)
    try withoutGradients { try damaged.adapter.parameters[1].value.fillInPlace(.nan) }
    #expect(throws: MixtureError.notFinite(damaged.adapter.parameters[1].name, member: "b")) {
      try Mix([MixMember("a", model), MixMember("b", damaged)]).result()
    }
    #expect(throws: MixtureError.notASum("ties")) {
      try Mix([MixMember("a", model)], by: TIES(), form: .concatenated).result()
    }
  }

  @Test func `a head is taken over, with a word about other classes`() throws {
    let models = try (1...2).map { try adapted(.small, seed: UInt64($0)) }
    let generator = try Generator(seed: 1)
    var members: [MixMember] = []
    for (index, classes) in [["x", "y"], ["u", "v", "w"]].enumerated() {
      var model = models[index]
      model.head = try Head(classes: classes, features: backbone.featureWidth, generator: generator)
      members.append(MixMember("\(index)", model))
    }
    #expect(try Mix(members).result().model.head == nil)
    let result = try Mix(members, head: "1").result()
    #expect(result.model.head?.classes == ["u", "v", "w"])
    #expect(result.report.warnings.count == 1)
    #expect(throws: MixtureError.unknownMember("2", known: ["0", "1"])) { try Mix(members, head: "2").result() }
  }

  @Test func `settings change from layer to layer`() throws {
    let models = try (1...2).map { try adapted(.small, seed: UInt64($0)) }
    let members = [MixMember("a", models[0]), MixMember("b", models[1])]
    let schedule = MixSchedule(
      method: "weighted", shared: ["normalize": .value(false), "weight": .value(1)],
      own: ["b": ["weight": .filtered([.init("fc2", .value(0.25)), .init(nil, .gradient([0, 1]))])]])
    let result = try Mix(members, schedule: schedule).result()
    for (site, weight) in zip(backbone.sites, [0, 0.25, 1, 0.25]) {
      let expected = try change(models[0].adapter, site) + change(models[1].adapter, site) * weight
      #expect(try change(result.model.adapter, site).isClose(to: expected, tolerance: 1e-5))
    }
    let stray = MixSchedule(
      method: "weighted", shared: ["weight": .filtered([.init("mlpp", .value(1)), .init(nil, .value(2))])])
    #expect(throws: MixtureError.filter("mlpp")) { try Mix(members, schedule: stray).result() }
  }

  @Test(arguments: [MixingSpace.delta, .factors, .peftFactors])
  func `a member of weight 0 is nowhere in the mixture or its report`(_ space: MixingSpace) throws {
    let models = try (0..<3).map { try adapted(.small, seed: UInt64($0)) }
    try withoutGradients { try models[1].adapter.parameters[0].value.fillInPlace(.nan) }
    for rule in [Weighted(), TIES(density: 0.5)] as [any MixingRule] {
      let with = try Mix(
        [MixMember("a", models[0]), MixMember("b", models[1], weight: 0), MixMember("c", models[2])], by: rule,
        space: space
      ).result()
      let without = try Mix([MixMember("a", models[0]), MixMember("c", models[2])], by: rule, space: space).result()
      for site in backbone.sites {
        #expect(try change(with.model.adapter, site).isEqual(to: change(without.model.adapter, site)))
      }
      #expect(with.report.norm == without.report.norm)
      #expect(with.report.meanMemberNorm == without.report.meanMemberNorm)
      #expect(with.report.meanMemberNorm > 0)
    }
  }

  @Test func `PEFT's factors of a mean leave out who has weight 0`() throws {
    let models = try (0..<2).map { try adapted(.small, seed: UInt64($0)) }
    let result = try Mix(
      [MixMember("a", models[0]), MixMember("b", models[1], weight: 0)], by: Uniform(), space: .peftFactors
    ).result()
    try expectSum(result, [(1, models[0])])
  }

  @Test func `frozen parts must be equal`() throws {
    let parts = try (0..<2).map { try backbone.adapted(by: Pfeiffer(), seed: UInt64($0)).adapter }
    func fusion(of parts: [Adapter], seed: UInt64) throws -> AdaptedModel {
      let named = zip(["x", "y"], parts).map { (name: $0, adapter: $1) }
      let model = try backbone.composed(by: AdapterFusion(of: named), of: parts, seed: 5)
      try model.adapter.perturb(seed: seed)
      return model
    }
    let first = try MixMember("a", fusion(of: parts, seed: 1))
    let same = try MixMember("b", fusion(of: parts, seed: 2))
    let mixed = try Mix([first, same], space: .factors).result().model.adapter
    #expect(
      try zip(mixed.frozen, first.model.adapter.frozen).allSatisfy { try $0.value.isEqual(to: $1.value.detached()) })
    try parts[1].perturb(seed: 3)
    let other = try MixMember("c", fusion(of: parts, seed: 2))
    let error = #expect(throws: MixtureError.self) { try Mix([first, other], space: .factors).result() }
    guard case .otherParts(let tensor, "c", of: "a") = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(tensor.hasPrefix("members.y."))
  }

  @Test func `another initialization from one seed is no common start`() throws {
    var gaussian = LoRA.small
    gaussian.initialization = .gaussian
    let members = [
      MixMember("a", try adapted(.small, seed: 1)), MixMember("b", try adapted(gaussian, seed: 1)),
    ]
    let result = try Mix(members, by: TaskArithmetic(), space: .factors).result()
    #expect(!result.provenance.fromSharedStart)
    #expect(result.report.warnings.count == 1)
    let vectors = try members.map { try AdapterVector($0.model.adapter) }
    let mixed = try AdapterVector(result.model.adapter)
    for index in mixed.values.indices {
      #expect(abs(mixed.values[index] - vectors[0].values[index] - vectors[1].values[index]) < 1e-5)
    }
    let alike = try Mix([members[0], MixMember("c", adapted(.small, seed: 1))], space: .factors).result()
    #expect(alike.provenance.fromSharedStart)
  }

  @Test(arguments: [MixForm.automatic, .rank(2), .dense])
  func `a sum that overflows is refused with its place`(_ form: MixForm) throws {
    let model = try adapted(.small, [.fc1], seed: 1)
    #expect(throws: MixtureError.notFinite("blocks.0.mlp.fc1", member: nil)) {
      try Mix([MixMember("a", model, weight: 1e39)], by: TaskArithmetic(), form: form).result()
    }
  }

  @Test func `outputs are averaged by a composition, saved with its members`() throws {
    let models = [
      try adapted(.small, seed: 1), try backbone.adapted(by: Pfeiffer(), seed: 2), try adapted(.small, seed: 3),
    ]
    try models[1].adapter.perturb(seed: 5)
    let members = zip(["a", "b", "c"], models).map { MixMember($0, $1, weight: $0 == "c" ? 0 : $0 == "a" ? 3 : 1) }
    let result = try Mix(members, by: Weighted(), space: .outputs).result()
    let expected = try backbone.composed(
      by: OutputAverage(of: [("a", models[0].adapter), ("b", models[1].adapter)], weights: [0.75, 0.25]),
      of: [models[0].adapter, models[1].adapter])
    #expect(result.model.adapter.frozen.allSatisfy { !$0.name.hasPrefix("members.c.") })
    let input = try Tensor.normal([2, 3, MixingBackbone.width], from: Generator(seed: 8))
    let features = try result.model.features(input)
    #expect(try features.isEqual(to: expected.features(input)))
    #expect(try !features.isClose(to: models[0].features(input), tolerance: 1e-3))
    let folder = FileManager.default.temporaryDirectory.appending(path: "graft-mix-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try result.save(to: folder)
    #expect(try backbone.adapted(from: folder).features(input).isEqual(to: features))
    #expect(try MixProvenance(in: folder)?.space == .outputs)
    #expect(throws: MixtureError.needsMean("ties")) { try Mix(members, by: TIES(), space: .outputs).result() }
  }
}
