import Adapters
import Datasets
import Foundation
import NeuralNetworks
import Tensors
import Testing
import Training

@testable import MetaTuning

@Suite struct TaskModelTests {
  private let classes = ["ash", "birch", "cedar", "elm"]

  @Test @Compute func `it answers an episode's queries as the test does, and so does what was saved`() async throws {
    let (backbone, examples, scratch) = (try Tiny.vision(), try Tiny.images(), try ScratchFolder())
    let meta = try Tiny.tuned(on: backbone)
    let test = try Tiny.test(examples, count: 6)
    let result = try await test.run(.model("tuned", meta), frozen: FrozenFeatures(of: examples, by: backbone))
    let sampler = try EpisodeSampler([test.pools[1]], settings: test.settings, seed: 1)
    func inputs(_ indices: [Int]) throws -> Tensor {
      try examples.inputs.selected(0, Tensor(indices.map(Int64.init)))
    }
    for number in 0..<6 {
      let episode = sampler.episode(number)
      let task = try TaskModel(
        meta, support: inputs(episode.supportExamples), labels: episode.supportLabels, classes: classes, batchSize: 3)
      let folder = scratch.url.appendingPathComponent("\(number)")
      try task.model.save(to: folder)
      let saved = try AdapterFolder.load(from: folder, onto: backbone)
      let queries = try inputs(episode.queryExamples)
      let answers = try saved.predict(queries)
      #expect(try answers == task.model.predict(queries))
      let right = zip(answers, episode.queryLabels).count { $0.index == $1 && $0.label == classes[$1] }
      #expect(Double(right) / 12 == result.datasets[1].accuracies[number])
    }
  }

  @Test @Compute func `features and logits are those of the task's weights and prototypes`() throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let meta = try Tiny.tuned(on: backbone)
    let (support, labels) = (try examples.inputs.narrowed(0, 0..<32), Array(examples.labels[0..<32]))
    let task = try TaskWeights(of: backbone)
    let mixing = try meta.adapt(support: support, labels: labels, ways: 4, into: task)
    let model = try TaskModel(meta, support: support, labels: labels, classes: classes)
    #expect(zip(model.mixing, mixing).allSatisfy { abs($0 - $1) < 1e-6 })
    let queries = try examples.inputs.narrowed(0, 32..<44)
    try withoutGradients {
      let features = try task.features(queries)
      #expect(try model.model.features(queries).isClose(to: features, tolerance: 1e-4))
      let expected = try Prototypes.logits(
        features, Prototypes.means(of: task.features(support), labels: labels, ways: 4))
      #expect(try model.model.logits(queries).isClose(to: expected, tolerance: 1e-3))
      #expect(try expected.abs().max().item() > 1)
    }
  }

  @Test @Compute func `a model that has not trained changes nothing but has a classifier`() throws {
    let (backbone, examples, scratch) = (try Tiny.vision(), try Tiny.images(), try ScratchFolder())
    let meta = try MetaModel(of: backbone, configuration: Tiny.configuration(.smat))
    let task = try TaskModel(
      meta, support: examples.inputs.narrowed(0, 0..<16), labels: Array(examples.labels[0..<16]), classes: ["a", "b"])
    #expect(task.model.adapter.parameters.isEmpty)
    #expect(try task.changedWeights == 0)
    try task.model.save(to: scratch.url.appendingPathComponent("task"))
    let saved = try AdapterFolder.load(from: scratch.url.appendingPathComponent("task"), onto: backbone)
    let queries = try examples.inputs.narrowed(0, 4..<12)
    #expect(try saved.logits(queries).isEqual(to: task.model.logits(queries)))
  }

  @Test @Compute func `only what experts have open is in the files`() throws {
    let (backbone, examples, scratch) = (try Tiny.vision(), try Tiny.images(), try ScratchFolder())
    let meta = try Tiny.tuned(on: backbone)
    let experts = try #require(meta.weights as? SparseExperts)
    let task = try TaskModel(
      meta, support: examples.inputs.narrowed(0, 0..<16), labels: Array(examples.labels[0..<16]), classes: ["a", "b"])
    let open = try MaskReport(of: experts, on: backbone).union
    // Offsets smaller than a rounding of the weight that they are added to would be missing: none is here.
    let matrices = try task.model.adapter.parameters.filter { $0.name.hasSuffix(".delta") }.reduce((0, 0)) {
      ($0.0 + $1.count, try $0.1 + $1.value.detached().equals(0).not().to(.int64).sum().integer())
    }
    #expect(abs(Double(matrices.1) / Double(matrices.0) - open) < 0.02)
    #expect(open < 0.7)
    let folder = scratch.url.appendingPathComponent("task")
    try task.model.save(to: folder)
    let details = try String(contentsOf: folder.appendingPathComponent("graft.json"), encoding: .utf8)
    #expect(details.contains("\"sparse\"") && details.contains("\"format_version\": 3"))
  }

  @Test @Compute func `half of what was trained is half of the change`() throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let meta = try Tiny.tuned(.pmf, on: backbone)
    func changes(_ scale: Double) throws -> Tensor {
      meta.weights.scale = scale
      let task = try TaskModel(
        meta, support: examples.inputs.narrowed(0, 0..<16), labels: Array(examples.labels[0..<16]), classes: ["a", "b"])
      return try #require(task.model.adapter.parameters.first { $0.name == "blocks.0.mlp.fc1.delta" }).value.detached()
    }
    let whole = try changes(1)
    #expect(try changes(0.5).isClose(to: whole * 0.5, tolerance: 1e-6))
    #expect(try whole.abs().max().item() > 0.05)
  }

  @Test @Compute func `one class and a class without support are refused`() throws {
    let (backbone, examples) = (try Tiny.vision(), try Tiny.images())
    let meta = try Tiny.tuned(on: backbone)
    let support = try examples.inputs.narrowed(0, 0..<8)
    let labels = [Int](repeating: 0, count: 8)
    #expect(throws: HeadError.classes(["a"])) {
      try TaskModel(meta, support: support, labels: labels, classes: ["a"])
    }
    #expect(throws: PrototypeError.noSupport(1, ways: 2)) {
      try TaskModel(meta, support: support, labels: labels, classes: ["a", "b"])
    }
  }

  @Test @Compute func `a record says where a task comes from`() throws {
    let (backbone, examples, scratch) = (try Tiny.vision(), try Tiny.images(), try ScratchFolder())
    let meta = try Tiny.tuned(on: backbone)
    try meta.save(to: scratch.url)
    let task = try TaskModel(
      meta, support: examples.inputs.narrowed(0, 0..<16), labels: Array(examples.labels[0..<16]), classes: ["a", "b"])
    let record = try TaskRecord(
      task, of: meta, in: scratch.url, support: [.init(name: "a", examples: 8), .init(name: "b", examples: 8)],
      imageSize: 8)
    try record.write(to: scratch.url)
    let data = try Data(contentsOf: scratch.url.appendingPathComponent(TaskRecord.fileName))
    #expect(try JSONDecoder().decode(TaskRecord.self, from: data) == record)
    #expect(record.mixing == task.mixing && record.backbone == backbone.fingerprint && record.digest.count == 64)
  }
}
