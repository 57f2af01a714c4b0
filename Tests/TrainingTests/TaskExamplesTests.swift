import Datasets
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Training

/// Three classes, of each `perClass` examples to train on or validate with, and half as many to test on.
func tinyTask(_ name: String, perClass: Int = 10, seed: UInt64 = 3, deviation: Double = 0.6) throws -> TaskExamples {
  let generator = try Generator(seed: seed)
  let directions = try Tensor.normal([3, 6], deviation: 1.5, from: generator)
  var rows: [Tensor] = []
  var labels: [Int] = []
  for part in 0..<2 {
    for number in 0..<3 * perClass / (part + 1) {
      let label = number % 3
      rows.append(try Tensor.normal([4, 6], deviation: deviation, from: generator) + directions.select(0, label))
      labels.append(label)
    }
  }
  let pool = 3 * perClass
  let examples = try TensorExamples(
    inputs: .stacked(rows), labels: labels, classes: ["disc", "ring", "star"], domains: ["train", "test"],
    counts: [pool, rows.count - pool])
  let training = pool * 4 / 5
  return try TaskExamples(
    name, examples, training: Array(0..<training), validation: Array(training..<pool),
    test: Array(pool..<rows.count))
}

@Suite struct TaskExamplesTests {
  @Test func `choosing settings looks at no test example`() throws {
    let task = try tinyTask("a")
    let fold = task.fold(for: .search)
    #expect(fold.pools == [Array(0..<24)])
    #expect(fold.parts[0].out == Array(24..<30))
    #expect(fold.parts[1] == .init(in: [], out: []))
    #expect(fold.target == 1 && fold.selectsStep)
  }

  @Test func `the result is trained on both parts and tested on the third`() throws {
    let fold = try tinyTask("a").fold(for: .final)
    #expect(fold.pools == [Array(0..<30)])
    #expect(fold.parts[0].out.isEmpty)
    #expect(fold.parts[1] == .init(in: Array(30..<45), out: []))
    #expect(!fold.selectsStep)
  }

  @Test func `parts that overlap, are empty or reach into the other domain are refused`() throws {
    let examples = try tinyTask("a").examples
    func task(_ training: [Int], _ validation: [Int], _ test: [Int]) throws -> TaskExamples {
      try TaskExamples("a", examples, training: training, validation: validation, test: test)
    }
    #expect(throws: TaskExamplesError.overlap(task: "a")) { try task([0, 1], [1, 2], [30]) }
    #expect(throws: TaskExamplesError.overlap(task: "a")) { try task([0, 0], [1, 2], [30]) }
    #expect(throws: TaskExamplesError.empty(task: "a", part: "validation")) { try task([0], [], [30]) }
    #expect(throws: TaskExamplesError.domain(task: "a", part: "test", index: 29)) { try task([0], [1], [29]) }
    #expect(throws: TaskExamplesError.domain(task: "a", part: "training", index: 30)) { try task([0, 30], [1], [31]) }
    #expect(throws: TaskExamplesError.domains(task: "b", ["ink", "oil", "pen"])) {
      try TaskExamples("b", tinyExamples(), training: [0], validation: [1], test: [50])
    }
  }

  @Test func `images of a folder become a task, those that cannot be used in no part`() async throws {
    let folder = try TemporaryFolder()
    for (hue, name) in ["blue", "red"].enumerated() {
      try FileManager.default.createDirectory(
        at: folder.url.appendingPathComponent("data/colors/\(name)"), withIntermediateDirectories: true)
      for number in 0..<10 {
        let color: (UInt8, UInt8, UInt8) = hue == 0 ? (40, 40, 130) : (130, 40, 40)
        try PNGFixture.bytes(size: 16, color: color, seed: UInt64(100 * hue + number + 1)).write(
          to: folder.url.appendingPathComponent("data/colors/\(name)/\(number).png"))
      }
    }
    let task = try #require(
      try TaskFolder(at: folder.url.appendingPathComponent("data"), options: .init(training: 8, validation: 4)).tasks
        .first)
    let broken = task.folder.samples[task.training[0]]
    try Data("no image".utf8).write(to: URL(fileURLWithPath: task.folder.path(of: broken)))
    var configuration = tinyConfiguration()
    configuration.imageSize = 8
    configuration.badImages = .skip
    let examples = try await ImageExamples.open(
      task.folder, configuration: configuration, normalization: .imageNet,
      cache: folder.url.appendingPathComponent("cache"))
    let made = try TaskExamples(task, examples)
    #expect(made.training == Array(task.training.dropFirst()))
    #expect(made.validation == task.validation && made.test == task.test)
    #expect(made.test.map { examples.labels[$0] } == [0, 0, 0, 0, 1, 1, 1, 1])
  }
}
