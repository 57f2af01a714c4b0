import Adapters
import Datasets
import Tensors
import Testing

@testable import Training

@Suite struct LengthOrderTests {
  /// Tensors that say how long they are.
  private struct Sized: Examples {
    var tensors: TensorExamples
    var lengths: [Int]?
    var classes: [String] { tensors.classes }
    var domains: [String] { tensors.domains }
    var ranges: [Range<Int>] { tensors.ranges }
    var labels: [Int] { tensors.labels }
    var fingerprint: String { tensors.fingerprint }
    func batches(of plan: any BatchPlan, steps: Range<Int>, for purpose: Purpose) -> Batches {
      tensors.batches(of: plan, steps: steps, for: purpose)
    }
  }

  @Test func `the longest come first, equals as asked, and rows find their way back`() throws {
    let examples = Sized(tensors: try tinyExamples(), lengths: [3, 9, 9, 1] + [Int](repeating: 5, count: 86))
    let order = LengthOrder([0, 3, 2, 40, 1, 2], of: examples)
    #expect(order.indices == [2, 1, 2, 40, 0, 3])
    let rows = try Tensor([2, 1, 2, 40, 0, 3] as [Float], shape: [6, 1])
    // Both rows of example 2 are its own, each in its place.
    #expect(try order.restored(rows).floats() == [0, 3, 2, 40, 1, 2])
  }

  @Test func `examples of one shape keep the order asked for, and their rows`() throws {
    let order = LengthOrder([4, 1, 1, 7], of: try tinyExamples())
    #expect(order.indices == [4, 1, 1, 7])
    #expect(try order.restored(Tensor([1, 2, 3, 4] as [Float])).floats() == [1, 2, 3, 4])
  }

  @Test func `logits come in the order asked for whatever the lengths`() async throws {
    let tensors = try tinyExamples()
    let model = try tinyModel()
    let indices = Array(0..<90).reversed() + [5, 5, 17]
    let plain = try await Evaluator(tensors, batchSize: 7).logits(of: model, at: indices)
    let sized = Sized(tensors: tensors, lengths: (0..<90).map { $0 * 31 % 17 })
    let sorted = try await Evaluator(sized, batchSize: 7).logits(of: model, at: indices)
    #expect(try sorted.isClose(to: plain, tolerance: 1e-6))
    // Sorted they are, or the comparison above says nothing.
    let lengths = try await evaluated(sized, model, at: indices).map { $0 * 31 % 17 }
    #expect(lengths == lengths.sorted(by: >) && lengths.first == 16)
  }

  /// The examples in the order in which they go through the model.
  @Compute
  private func evaluated(_ examples: Sized, _ model: AdaptedModel, at indices: [Int]) async throws -> [Int] {
    var evaluated: [Int] = []
    _ = try await Evaluator(examples, batchSize: 7).logits(of: model, at: indices) { batch, _ in
      evaluated += batch.indices
    }
    return evaluated
  }
}
