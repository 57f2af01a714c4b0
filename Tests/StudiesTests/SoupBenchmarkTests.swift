import Adapters
import Foundation
import Mixing
import NeuralNetworks
import Reports
import Tensors
import Testing
import Training

@testable import Studies

@Suite struct SoupBenchmarkTests {
  private let labels = ["below", "above"]

  /// Four domains over one pair of classes: teachers that turn away from the shared one, and inputs that lie apart.
  private func examples() throws -> TensorExamples {
    let generator = try Generator(seed: 3)
    let shared = try Tensor.normal([1, 20], from: generator)
    var inputs: [Tensor] = []
    var labels: [Int] = []
    for domain in 0..<4 {
      let own = try Tensor.normal([1, 20], from: generator)
      let teacher = try shared + own * (0.2 * Double(domain))
      let x = try Tensor.normal([80, 20], from: generator)
      labels += try x.linear(teacher).floats().map { $0 > 0 ? 1 : 0 }
      inputs.append(x)
    }
    return try TensorExamples(
      inputs: .concatenated(inputs), labels: labels, classes: self.labels, domains: ["a", "b", "c", "d"],
      counts: [80, 80, 80, 80])
  }

  private func benchmark(in folder: TemporaryFolder) throws -> Benchmark {
    try Benchmark(
      of: [Method("Bottleneck", toyBottleneck())], backbone: ResidualNet(), on: examples(), dataset: "toy",
      targets: ["a", "d"], trials: 1, configuration: toyRecipe(steps: 40), output: folder.url.appending(path: "runs"))
  }

  @Test func `each soup is a row beside the methods, and adapters are trained once`() async throws {
    let folder = try TemporaryFolder()
    let benchmark = try benchmark(in: folder)
    let soups = Soup.Rule.allCases.map { Soup("\($0)", of: "Bottleneck", by: $0) }
    let output = folder.url.appending(path: "single")
    let soup = try SoupBenchmark(soups, of: benchmark, output: output)
    let report = try await soup.adding(to: benchmark.finish()) { _ in }
    #expect(report.methods == ["Bottleneck"] + soups.map(\.name))
    let table = report.table()
    for row in table.rows {
      // Left out: a and d. The other columns have no trial.
      #expect(row.cells.map { $0 != nil } == [true, false, false, true])
      #expect(row.cells.compactMap { $0?.mean }.allSatisfy { $0 > 0.5 && $0 <= 1 })
    }
    let byName = Dictionary(uniqueKeysWithValues: table.rows.map { ($0.label, $0.cells.compactMap { $0?.mean }) })
    let (single, best) = (try #require(byName["single"]), try #require(byName["bestSingle"]))
    #expect(zip(single, best).allSatisfy { $0 <= $1 })
    // One adapter for each domain and trial, whatever the targets.
    let folders = try FileManager.default.contentsOfDirectory(atPath: output.path)
    #expect(folders.count == 4)
    let dates = try folders.map { try modified(output.appending(path: $0).appending(path: "adapter")) }
    let again = try await soup.adding(to: benchmark.report()) { _ in }
    #expect(try folders.map { try modified(output.appending(path: $0).appending(path: "adapter")) } == dates)
    #expect(again.table() == table)
  }

  @Test func `texts of the target are drawn without its labels, of sources by class`() throws {
    let folder = try TemporaryFolder()
    let benchmark = try benchmark(in: folder)
    var soup = try SoupBenchmark([Soup("soup", of: "Bottleneck", by: .uniform)], of: benchmark, output: folder.url)
    soup.similarityExamples = 10
    let labels = benchmark.examples.labels
    // Twenty of each class.
    let places = (0..<80).filter { labels[$0] == 0 }.prefix(20) + (0..<80).filter { labels[$0] == 1 }.prefix(20)
    let parts = Fold.Parts(in: Array(places), out: Array(places))
    let source = soup.selectionTexts(of: parts, isTarget: false)
    #expect(source.count { labels[$0] == 0 } == 5)
    let blind = StudyDomain.draw(10, of: Array(places), labels: labels.map { _ in 7 }, seed: 0)
    #expect(soup.selectionTexts(of: parts, isTarget: true) == blind)
  }

  @Test func `an ensemble is the mean of its members' logits`() throws {
    let folder = try TemporaryFolder()
    let benchmark = try benchmark(in: folder)
    let soup = try SoupBenchmark([Soup("soup", of: "Bottleneck", by: .ensemble)], of: benchmark, output: folder.url)
    let fold = try benchmark.fold(of: #require(benchmark.runs.first))
    let alone = try [1.0, 3, 8].map { value in try fold.parts.map { _ in try Tensor.full(value, [2, 2]) } }
    let mean = try soup.combined(alone, by: .ensemble, Evaluator(benchmark.examples, batchSize: 10), fold)
    for logits in mean { #expect(try logits.floats() == [4, 4, 4, 4]) }
  }

  private func modified(_ url: URL) throws -> Date {
    try #require(try FileManager.default.attributesOfItem(atPath: url.path)[.modificationDate] as? Date)
  }

  @Test func `a soup of one is the member, adapter and classifier`() throws {
    let backbone = try ResidualNet()
    let members = try (0..<2).map { try Method("m", toyBottleneck()).model(on: backbone, classes: labels, seed: $0) }
    let input = try Tensor.normal([5, 20], from: Generator(seed: 9))
    let alone = try SoupBenchmark.mixed(members, [0, 1]).logits(input)
    #expect(try alone.isEqual(to: members[1].logits(input)))
    // The same adapter twice is itself, whatever the weights.
    let twice = try SoupBenchmark.mixed([members[0], members[0]], [0.25, 0.75]).logits(input)
    #expect(try twice.isClose(to: members[0].logits(input), tolerance: 1e-6))
  }

  @Test func `rows that share a name, and methods that are not there, are refused`() throws {
    let folder = try TemporaryFolder()
    let benchmark = try benchmark(in: folder)
    #expect(throws: StudyError.names(["Bottleneck", "Bottleneck"], of: "rows of a table")) {
      try SoupBenchmark([Soup("Bottleneck", of: "Bottleneck", by: .uniform)], of: benchmark, output: folder.url)
    }
    #expect(throws: StudyError.names(["Bottleneck", "LoRA"], of: "methods that soups are made of")) {
      try SoupBenchmark([Soup("soup", of: "LoRA", by: .uniform)], of: benchmark, output: folder.url)
    }
  }
}
