import Adapters
import Datasets
import MetaTuning
import NeuralNetworks
import Synchronization
import Tensors
import Testing
import Training

@Suite struct FrozenFeaturesTests {
  /// A network that counts its inputs.
  private struct Counting: Backbone {
    let network: VisionTransformer
    let seen = Counter()

    final class Counter: Sendable {
      private let value = Mutex(0)
      var count: Int { value.withLock { $0 } }
      func add(_ more: Int) { value.withLock { $0 += more } }
    }

    var sites: [Site] { network.sites }
    var branches: [Branch] { network.branches }
    var layerNorms: [String] { network.layerNorms }
    var stem: String? { network.stem }
    var tensors: [(name: String, tensor: Tensor)] { network.tensors }
    var featureWidth: Int { network.featureWidth }
    var device: Device { network.device }
    var fingerprint: String { network.fingerprint }
    func linear(at site: Site) throws -> Linear { try network.linear(at: site) }
    func modules(at site: Site) -> [String] { network.modules(at: site) }
    func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor {
      seen.add(input.shape[0])
      return try network.features(input, adaptation: adaptation, pass: pass)
    }
  }

  private func batch(_ indices: [Int], of examples: TensorExamples) throws -> Batch {
    let index = try Tensor(indices.map(Int64.init))
    return Batch(step: 0, indices: indices, inputs: try examples.inputs.selected(0, index), labels: index)
  }

  @Compute
  @Test func `each example is computed once, and is the same bits in any batch`() throws {
    let (examples, network) = (try Tiny.images(), Counting(network: try Tiny.vision()))
    let store = FrozenFeatures(of: examples, by: network)
    let first = try store.features(of: batch([3, 50, 7, 9], of: examples), rows: 0..<3)
    let second = try store.features(of: batch([1, 7, 3], of: examples), rows: 0..<3)
    #expect(network.seen.count == 4)
    #expect(try first.select(0, 2).isEqual(to: second.select(0, 1)))
    #expect(try first.select(0, 0).isEqual(to: second.select(0, 2)))
    let expected = try network.features(batch([1, 7, 3], of: examples).inputs)
    #expect(try second.isClose(to: expected, tolerance: 1e-5))
  }

  @Compute
  @Test func `beyond the limit nothing more is kept, and the numbers are the same`() throws {
    let (examples, network) = (try Tiny.images(), Counting(network: try Tiny.vision()))
    // Room for two features of 16 numbers.
    let store = FrozenFeatures(of: examples, by: network, limit: 128)
    let first = try store.features(of: batch([3, 50, 7], of: examples), rows: 0..<3)
    let second = try store.features(of: batch([3, 50, 7], of: examples), rows: 0..<3)
    #expect(network.seen.count == 4)
    #expect(try first.isEqual(to: second))
  }

  @Compute
  @Test func `varied inputs are computed afresh, and the plain ones kept beside them`() throws {
    let (examples, network) = (try Tiny.images(varies: true), Counting(network: try Tiny.vision()))
    let store = FrozenFeatures(of: examples, by: network)
    let batch = try batch([3, 50], of: examples)
    _ = try store.features(of: batch, rows: 0..<2)
    let varied = Batch(step: 0, indices: batch.indices, inputs: examples.views[0], labels: batch.labels)
    let found = try store.features(of: varied, rows: 0..<2, varied: true)
    #expect(try found.isClose(to: network.network.features(examples.views[0].narrowed(0, 0..<2)), tolerance: 1e-5))
    _ = try store.features(of: batch, rows: 0..<2)
    #expect(network.seen.count == 4)
  }
}
