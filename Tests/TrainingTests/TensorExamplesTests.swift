import Datasets
import Tensors
import Testing

@testable import Training

@Suite struct TensorExamplesTests {
  private func make(
    labels: [Int] = [0, 1, 0, 1], counts: [Int] = [3, 1], views: [Tensor] = []
  ) throws -> TensorExamples {
    try TensorExamples(
      inputs: Tensor([0, 1, 2, 3, 4, 5, 6, 7] as [Float], shape: [4, 2]), labels: labels, classes: ["a", "b"],
      domains: ["x", "y"], counts: counts, views: views)
  }

  @Test func `batches hold the rows of the plan, with their labels`() async throws {
    let examples = try make()
    #expect(examples.ranges == [0..<3, 3..<4])
    var seen: [(indices: [Int], inputs: [Float], labels: [Int])] = []
    let plan = SequentialBatches([3, 0, 2], batchSize: 2)
    for try await batch in examples.batches(of: plan, steps: 0..<9, for: .evaluation) {
      seen.append((batch.indices, try batch.inputs.floats(), try batch.labels.integers()))
    }
    #expect(seen.map(\.indices) == [[3, 0], [2]])
    #expect(seen.map(\.inputs) == [[6, 7, 0, 1], [4, 5]])
    #expect(seen.map(\.labels) == [[1, 0], [0]])
  }

  @Test func `training draws every view, the same ones for the same seed`() async throws {
    let views = try (1...3).map { try Tensor.full(Double($0), [4, 2]) }
    let examples = try make(views: views)
    func drawn(seed: UInt64) async throws -> [Float] {
      var values: [Float] = []
      let plan = SequentialBatches([Int](repeating: 1, count: 40), batchSize: 4)
      for try await batch in examples.batches(of: plan, steps: 0..<10, for: .training(seed: seed)) {
        values += try batch.inputs.select(1, 0).floats()
      }
      return values
    }
    let first = try await drawn(seed: 1)
    #expect(first.count == 40 && Set(first) == [1, 2, 3])
    #expect(try await drawn(seed: 1) == first)
    #expect(try await drawn(seed: 2) != first)
  }

  @Test func `the fingerprint tells examples apart`() throws {
    let plain = try make().fingerprint
    #expect(try make().fingerprint == plain)
    #expect(try make(labels: [0, 1, 1, 1]).fingerprint != plain)
    #expect(try make(counts: [2, 2]).fingerprint != plain)
  }

  @Test func `numbers that disagree are refused`() throws {
    #expect(throws: ExamplesError.counts(inputs: 4, labels: 3, domains: [3, 1])) { try make(labels: [0, 1, 0]) }
    #expect(throws: ExamplesError.counts(inputs: 4, labels: 4, domains: [3, 2])) { try make(counts: [3, 2]) }
    #expect(throws: ExamplesError.label(2, classes: 2)) { try make(labels: [0, 1, 2, 0]) }
    let view = try Tensor.zeros([4, 3])
    #expect(throws: ExamplesError.view([4, 3], expected: [4, 2])) { try make(views: [view]) }
  }
}
