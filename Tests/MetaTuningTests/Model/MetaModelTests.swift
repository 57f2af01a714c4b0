import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct MetaModelTests {
  /// Random values in the place of everything that starts at 0.
  @Compute
  static func stir(_ model: MetaModel, deviation: Double = 0.05) throws {
    let generator = try Generator(seed: 11)
    for (name, tensor) in model.weights.state where name.hasPrefix("offset") {
      try tensor.copyInPlace(.normal(tensor.shape, deviation: deviation, dtype: tensor.dtype, from: generator))
    }
    try model.weights.stateChanged()
  }

  @Compute
  private func adapted(_ model: MetaModel, _ episode: EpisodeBatch) throws -> (mixing: [Double], task: TaskWeights) {
    let task = try TaskWeights(of: model.backbone)
    let mixing = try model.adapt(
      support: episode.support, labels: episode.supportLabels, ways: episode.ways, into: task)
    return (mixing, task)
  }

  @Compute
  private func logits(_ model: MetaModel, _ task: TaskWeights, _ episode: EpisodeBatch) throws -> Tensor {
    try withoutGradients {
      let prototypes = try Prototypes.means(
        of: model.features(episode.support, by: task), labels: episode.supportLabels, ways: episode.ways)
      return try Prototypes.logits(model.features(episode.query, by: task), prototypes)
    }
  }

  @Compute
  @Test(arguments: MetaMethod.allCases)
  func `an untrained model classifies as the backbone does, bit for bit`(_ method: MetaMethod) throws {
    let configuration = Tiny.configuration(method) { $0.lastBlocks = 1 }
    let model = try MetaModel(of: Tiny.vision(), configuration: configuration)
    let episode = try Tiny.episode(of: Tiny.images())
    let (mixing, task) = try adapted(model, episode)
    #expect(mixing.count == configuration.expertCount)
    let frozen = try Prototypes.logits(
      model.frozenFeatures(episode.query),
      Prototypes.means(
        of: model.frozenFeatures(episode.support), labels: episode.supportLabels, ways: episode.ways))
    #expect(try logits(model, task, episode).isEqual(to: frozen))
    #expect((model.hypernetwork != nil) == method.isRouted)
  }

  @Compute
  @Test func `weights and predictions do not depend on the order of the support examples`() throws {
    let model = try MetaModel(of: DoublePrecision(Tiny.vision()), configuration: Tiny.configuration(.smat))
    try Self.stir(model)
    let episode = try Tiny.episode(of: Tiny.images(), dtype: .float64)
    let order = [5, 2, 7, 0, 1, 6, 3, 4]
    let (mixing, task) = try adapted(model, episode)
    let expected = try logits(model, task, episode)
    let support = try episode.support.selected(0, Tensor(order.map(Int64.init)))
    let labels = order.map { episode.supportLabels[$0] }
    let other = try model.adapt(support: support, labels: labels, ways: 4, into: task)
    #expect(zip(mixing, other).allSatisfy { abs($0 - $1) < 1e-12 })
    let prototypes = try Prototypes.means(of: model.features(support, by: task), labels: labels, ways: 4)
    let found = try Prototypes.logits(model.features(episode.query, by: task), prototypes)
    #expect(try found.distance(to: expected) < 1e-10)
    // The classes renamed: the same mixing, the same predictions under the other names.
    let renamed = episode.supportLabels.map { [2, 0, 3, 1][$0] }
    let again = try model.adapt(support: episode.support, labels: renamed, ways: 4, into: task)
    #expect(zip(mixing, again).allSatisfy { abs($0 - $1) < 1e-12 })
    let columns = try Prototypes.logits(
      model.features(episode.query, by: task),
      Prototypes.means(of: model.features(episode.support, by: task), labels: renamed, ways: 4))
    #expect(try columns.selected(1, Tensor([Int64(2), 0, 3, 1])).distance(to: expected) < 1e-10)
  }

  @Compute
  @Test func `the published presets test with the estimator's gate, the repaired one with the median's`() throws {
    func distance(_ preset: MetaPreset) throws -> Double {
      let model = try MetaModel(of: Tiny.vision(), configuration: Tiny.configuration(.smat, preset: preset))
      try Self.stir(model)
      let (mixing, task) = try adapted(model, Tiny.episode(of: Tiny.images()))
      let median = try TaskWeights(of: model.backbone)
      try model.weights.merge(mixing, into: median)
      return try zip(task.tensors, median.tensors).map { try $0.detached().distance(to: $1.detached()) }.max() ?? 0
    }
    #expect(try distance(.recommended) == 0)
    #expect(try distance(.paper) > 1e-3)
    #expect(try distance(.officialCode) > 1e-3)
  }

  @Compute
  @Test(arguments: [MetaMethod.smat, .softMerge, .pmf])
  func `a model saved and read is the same, bit for bit, but for the momentum`(_ method: MetaMethod) async throws {
    let examples = try Tiny.images()
    let backbone = try Tiny.vision()
    let model = try MetaModel(of: backbone, configuration: Tiny.configuration(method, steps: 3))
    _ = try await MetaTraining(of: model, on: examples, sampler: Tiny.sampler(examples)).finish()
    let folder = try ScratchFolder()
    try model.save(to: folder.url)
    let read = try MetaModel.load(from: folder.url, backbone: backbone)
    #expect(read.configuration == model.configuration && read.tasksSeen == 6)
    for (own, other) in zip(model.state, read.state) {
      #expect(own.name == other.name)
      let expected = try own.name.contains(".momentum.") ? own.tensor.zerosLike() : own.tensor.detached()
      #expect(try expected.isEqual(to: other.tensor.detached()), "\(own.name)")
    }
    let names = try SafetensorsFile(contentsOf: folder.url.appendingPathComponent(MetaModel.tensorsFile)).names
    #expect(!names.contains { $0.contains("momentum") } && names.contains { $0.contains("offset") })
    // Training that was cut off cannot go on from it.
    let error = #expect(throws: MetaModelError.self) {
      try model.restore(SavedModel(in: folder.url), isResumed: true)
    }
    guard case .tensors(let missing, unknown: [])? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(!missing.isEmpty && missing.allSatisfy { $0.contains("momentum") })
    let episode = try Tiny.episode(9, of: examples)
    let (first, second) = (try adapted(model, episode), try adapted(read, episode))
    #expect(first.mixing == second.mixing)
    for (own, other) in zip(first.task.tensors, second.task.tensors) {
      #expect(try own.detached().isEqual(to: other.detached()))
    }
    #expect(try MetaModel.settings(in: folder.url) == model.configuration)
  }

  @Compute
  @Test func `a model says which classes it was trained on, where it was`() async throws {
    let (backbone, examples, folder) = (try Tiny.vision(), try Tiny.images(), try ScratchFolder())
    let model = try MetaModel(of: backbone, configuration: Tiny.configuration(.pmf, steps: 1))
    try model.save(to: folder.url)
    #expect(try MetaModel.trainedClasses(in: folder.url) == nil)
    #expect(try MetaModel.load(from: folder.url, backbone: backbone).trainedOn == nil)
    _ = try await MetaTraining(
      of: model, on: examples, sampler: Tiny.sampler(examples, classes: 0..<4),
      validation: [Tiny.sampler(examples, classes: 4..<8)]
    ).finish()
    try model.save(to: folder.url)
    let recorded = try #require(try MetaModel.trainedClasses(in: folder.url))
    #expect(recorded.datasets.map(\.name) == ["patterns"])
    #expect(recorded.datasets[0].training == (0..<4).map { "class \($0)" })
    #expect(recorded.datasets[0].validation == (4..<8).map { "class \($0)" })
    // Trained again, it has seen more.
    let read = try MetaModel.load(from: folder.url, backbone: backbone)
    #expect(read.trainedOn == recorded)
    _ = try await MetaTraining(of: read, on: examples, sampler: Tiny.sampler(examples, classes: 6..<10)).finish()
    #expect(read.trainedOn?.datasets[0].training == [0, 1, 2, 3, 6, 7, 8, 9].map { "class \($0)" })
    #expect(read.trainedOn?.datasets[0].validation == recorded.datasets[0].validation)
  }

  @Compute
  @Test func `the temperature in testing is that of the tasks seen`() throws {
    let model = try MetaModel(of: Tiny.vision(), configuration: Tiny.configuration(.smat))
    let prototypes = try Tensor.normal([4, 16], from: Generator(seed: 1))
    let hot = try model.mixing(prototypes: prototypes)
    model.tasksSeen = 1_000
    let cold = try model.mixing(prototypes: prototypes)
    let logits = try #require(model.hypernetwork).mixing(prototypes: prototypes, temperature: 1).logits
    for (found, temperature) in [(hot, 5.0), (cold, 0.5)] {
      let open = try logits.detached().doubles().map { 1 / (1 + exp(-$0 / temperature)) }
      #expect(zip(found, open).allSatisfy { abs($0 - $1 / open.reduce(0, +)) < 1e-6 })
    }
    #expect(hot != cold)
  }

  @Compute
  @Test func `a model of another backbone is refused, with both`() throws {
    let folder = try ScratchFolder()
    let (backbone, other) = (try Tiny.vision(), try Tiny.vision(seed: 3))
    try MetaModel(of: backbone, configuration: Tiny.configuration(.pmf)).save(to: folder.url)
    let error = #expect(throws: MetaModelError.self) { _ = try MetaModel.load(from: folder.url, backbone: other) }
    #expect(
      error == .otherBackbone(path: folder.url.path, expected: backbone.fingerprint, found: other.fingerprint))
    #expect(error?.description.contains("was tuned on another backbone") == true)
  }

  @Compute
  @Test func `folders that are no model, or damaged, are refused`() throws {
    let folder = try ScratchFolder()
    let backbone = try Tiny.vision()
    func refusal() -> MetaModelError? {
      #expect(throws: MetaModelError.self) { _ = try MetaModel.load(from: folder.url, backbone: backbone) }
    }
    #expect(refusal() == .absent(folder.url.path))
    try MetaModel(of: backbone, configuration: Tiny.configuration(.pmf)).save(to: folder.url)
    let tensors = folder.url.appendingPathComponent(MetaModel.tensorsFile)
    var data = try Data(contentsOf: tensors)
    data[data.count - 3] ^= 1
    try data.write(to: tensors)
    #expect(refusal() == .altered(tensors.path))
    let settings = folder.url.appendingPathComponent(MetaModel.settingsFile)
    var object = try #require(try JSONValue(contentsOf: settings).object)
    object["tasks_seen"] = -1
    try JSONValue.object(object).data().write(to: settings)
    #expect(refusal() == .malformed(settings.path, #"Its "tasks_seen" is not a count."#))
    object["tasks_seen"] = 1
    object["trained_on"] = ["scripts"]
    try JSONValue.object(object).data().write(to: settings)
    guard case .malformed(settings.path, let reason)? = refusal() else {
      Issue.record("A record that is none was read.")
      return
    }
    #expect(reason.hasPrefix(#"Its "trained_on" cannot be read"#))
    try Data("[1]".utf8).write(to: settings)
    #expect(refusal() == .malformed(settings.path, "It is an array, not an object."))
  }

  @Compute
  @Test func `state of another shape is refused`() throws {
    let backbone = try Tiny.vision()
    let model = try MetaModel(of: backbone, configuration: Tiny.configuration(.smat))
    let other = try MetaModel(of: backbone, configuration: Tiny.configuration(.smat) { $0.experts = 4 })
    let dense = try MetaModel(of: backbone, configuration: Tiny.configuration(.pmf))
    let error = #expect(throws: MetaModelError.self) { try model.restore(other.snapshot()) }
    #expect(error.map { "\($0)".contains("Load it into the model it was saved from") } == true)
    #expect(throws: MetaModelError.self) { try model.restore(dense.snapshot()) }
  }
}
