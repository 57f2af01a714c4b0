import Foundation
import Synchronization
import Testing

@testable import Datasets

@Suite struct BatchLoaderTests {
  /// Images whose every byte is their index, some of them broken, some slow.
  private final class Source: ImageSource {
    let count: Int
    let broken: Set<Int>
    let asked = Mutex<[Int]>([])

    init(count: Int, broken: Set<Int> = []) {
      self.count = count
      self.broken = broken
    }

    func image(at index: Int) throws -> RGBImage {
      asked.withLock { $0.append(index) }
      if broken.contains(index) { throw ImageError.truncated(file: "\(index).jpg", bytes: 9) }
      if index % 3 == 0 { usleep(500) }
      return try RGBImage(width: 4, height: 4, pixels: [UInt8](repeating: UInt8(index), count: 48))
    }
  }

  private let samples = (0..<20).map { DomainFolder.Sample(path: "\($0)", domain: $0 / 10, label: $0 % 5) }

  private func evaluation() throws -> EvaluationTransform {
    try EvaluationTransform(size: 2, normalization: Normalization(mean: [0, 0, 0], std: [1, 1, 1]))
  }

  @Test func `batches come in order, with pixels, labels and domains in their places`() async throws {
    let order = [19, 3, 7, 12, 0]
    let loader = BatchLoader(
      source: Source(count: 20), samples: samples, plan: SequentialBatches(order, batchSize: 2),
      transform: try evaluation(), seed: 1)
    var seen: [Int] = []
    var steps: [Int] = []
    for try await batch in loader {
      steps.append(batch.step)
      seen += batch.samples
      #expect(batch.shape == [batch.samples.count, 3, 2, 2] && batch.pixels.count == batch.samples.count * 12)
      #expect(batch.labels == batch.samples.map { $0 % 5 } && batch.domains == batch.samples.map { $0 / 10 })
      for (slot, index) in batch.samples.enumerated() {
        #expect(batch.pixels[slot * 12..<slot * 12 + 12].allSatisfy { $0 == Float(index) / 255 })
      }
    }
    #expect(seen == order && steps == [0, 1, 2])
  }

  @Test func `augmented batches are the same every time, and a resumed run goes on with the same ones`() async throws {
    let sampler = try BatchSampler(pools: [Array(0..<10), Array(10..<20)], perDomain: 3, seed: 5)
    let transform = try TrainingTransform(size: 8, normalization: .clip)
    func pixels(steps: Range<Int>, seed: UInt64 = 5, depth: Int = 2) async throws -> [[Float]] {
      let loader = BatchLoader(
        source: Source(count: 20), samples: samples, plan: sampler, transform: transform, seed: seed, steps: steps,
        depth: depth)
      var all: [[Float]] = []
      for try await batch in loader { all.append(Array(batch.pixels)) }
      return all
    }
    let whole = try await pixels(steps: 0..<6)
    #expect(whole.count == 6)
    #expect(try await pixels(steps: 0..<6, depth: 5) == whole)
    #expect(try await pixels(steps: 4..<6) == Array(whole[4...]))
    #expect(try await pixels(steps: 0..<6, seed: 6) != whole)
  }

  @Test func `the same image is augmented otherwise at another place of the batch`() async throws {
    let loader = BatchLoader(
      source: ImageFiles(paths: [Fixtures.path("images/png-rgb.png")]), samples: samples,
      plan: SequentialBatches([0, 0, 0, 0], batchSize: 2),
      transform: try TrainingTransform(size: 4, normalization: .clip), seed: 1)
    var images: Set<[Float]> = []
    for try await batch in loader {
      for slot in 0..<2 { images.insert(Array(batch.pixels[slot * 48..<slot * 48 + 48])) }
    }
    #expect(images.count == 4)
  }

  @Test func `an image that cannot be had ends the batches with its name`() async throws {
    let loader = BatchLoader(
      source: Source(count: 20, broken: [5]), samples: samples, plan: SequentialBatches(Array(0..<20), batchSize: 2),
      transform: try evaluation(), seed: 1)
    var iterator = loader.makeAsyncIterator()
    #expect(try await iterator.next()?.samples == [0, 1])
    #expect(try await iterator.next()?.samples == [2, 3])
    do {
      _ = try await iterator.next()
      Issue.record("the third batch holds a broken image")
    } catch {
      #expect(error as? ImageError == .truncated(file: "5.jpg", bytes: 9))
    }
    #expect(try await iterator.next() == nil)
  }

  @Test func `no more is made ahead than the depth allows`() async throws {
    let source = Source(count: 20)
    let loader = BatchLoader(
      source: source, samples: samples, plan: SequentialBatches(Array(0..<20), batchSize: 2),
      transform: try evaluation(), seed: 1)
    var iterator = loader.makeAsyncIterator()
    _ = try await iterator.next()
    try await Task.sleep(for: .milliseconds(100))
    #expect(source.asked.withLock { Set($0) } == Set(0..<6), "one in use, two ahead")
  }

  @Test func `a cancelled task gets no more batches`() async throws {
    let loader = BatchLoader(
      source: Source(count: 20), samples: samples,
      plan: try BatchSampler(pools: [Array(0..<20)], perDomain: 2, seed: 1), transform: try evaluation(), seed: 1)
    let task = Task {
      var count = 0
      for try await _ in loader { count += 1 }
      return count
    }
    try await Task.sleep(for: .milliseconds(20))
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  @Test func `a plan with an index outside the data is an error`() async throws {
    let loader = BatchLoader(
      source: Source(count: 20), samples: samples, plan: SequentialBatches([20], batchSize: 1),
      transform: try evaluation(), seed: 1)
    var iterator = loader.makeAsyncIterator()
    await #expect(throws: ImageSourceError.noImage(20, count: 20)) { _ = try await iterator.next() }
  }
}
