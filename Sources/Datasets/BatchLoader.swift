import Foundation

/// Batches made ahead of their use: while the model works on one, the next are decoded and augmented in the background.
///
/// Batches come in the order of their steps and are the same however many threads make them: what is random about an
/// image depends on the seed, the step and its place in the batch.
///
///     for try await batch in BatchLoader(source: cache, samples: folder.samples, plan: sampler, transform: transform, seed: 1) {
///       …
///     }
public struct BatchLoader: AsyncSequence, Sendable {
  public typealias Element = PixelBatch

  private let recipe: Recipe
  private let steps: Range<Int>
  private let depth: Int

  /// - Parameters:
  ///   - source: images by the index of their sample.
  ///   - samples: labels and domains by the same index.
  ///   - plan: which samples make up each batch.
  ///   - transform: from image to input.
  ///   - seed: of the augmentation.
  ///   - steps: the first step, where a resumed run goes on, and the one to end before.
  ///   - depth: batches being made or waiting besides the one in use.
  public init(
    source: any ImageSource, samples: [DomainFolder.Sample], plan: any BatchPlan, transform: any ImageTransform,
    seed: UInt64, steps: Range<Int> = 0..<Int.max, depth: Int = 2
  ) {
    recipe = Recipe(source: source, samples: samples, plan: plan, transform: transform, seed: seed)
    self.steps = steps
    self.depth = Swift.max(1, depth)
  }

  public func makeAsyncIterator() -> Iterator { Iterator(recipe: recipe, steps: steps, depth: depth) }

  public struct Iterator: AsyncIteratorProtocol {
    private let queue: Queue

    fileprivate init(recipe: Recipe, steps: Range<Int>, depth: Int) {
      queue = Queue(recipe: recipe, steps: steps, depth: depth)
    }

    /// - Throws: the error of the image that could not be had, which names its file; `CancellationError`. `nil` afterwards.
    public mutating func next() async throws -> PixelBatch? {
      try Task.checkCancellation()
      queue.refill()
      guard let first = queue.takeFirst() else { return nil }
      queue.refill()
      do {
        return try await withTaskCancellationHandler {
          try await first.value
        } onCancel: {
          first.cancel()
        }
      } catch {
        queue.stop()
        throw error
      }
    }
  }

  /// The tasks under way. A class, so that abandoning the iterator cancels them.
  private final class Queue {
    private let recipe: Recipe
    private let depth: Int
    private var steps: Range<Int>
    private var tasks: [Task<PixelBatch, any Error>] = []

    init(recipe: Recipe, steps: Range<Int>, depth: Int) {
      self.recipe = recipe
      self.steps = steps
      self.depth = depth
    }

    deinit { stop() }

    func refill() {
      while tasks.count < depth, let step = steps.first, let samples = recipe.plan.samples(atStep: step) {
        steps = step + 1..<steps.upperBound
        tasks.append(Task { [recipe] in try await recipe.batch(step: step, samples: samples) })
      }
    }

    func takeFirst() -> Task<PixelBatch, any Error>? { tasks.isEmpty ? nil : tasks.removeFirst() }

    func stop() {
      for task in tasks { task.cancel() }
      tasks = []
      steps = steps.upperBound..<steps.upperBound
    }
  }

  fileprivate struct Recipe: Sendable {
    let source: any ImageSource
    let samples: [DomainFolder.Sample]
    let plan: any BatchPlan
    let transform: any ImageTransform
    let seed: UInt64

    func batch(step: Int, samples indices: [Int]) async throws -> PixelBatch {
      for index in indices where !samples.indices.contains(index) {
        throw ImageSourceError.noImage(index, count: samples.count)
      }
      let batch = PixelBatch(
        step: step, samples: indices, labels: indices.map { samples[$0].label },
        domains: indices.map { samples[$0].domain }, size: transform.size)
      let workers = Swift.min(indices.count, ProcessInfo.processInfo.activeProcessorCount)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<workers {
          group.addTask {
            for slot in stride(from: worker, to: indices.count, by: workers) {
              try Task.checkCancellation()
              try fill(slot, of: batch)
            }
          }
        }
        try await group.waitForAll()
      }
      return batch
    }

    private func fill(_ slot: Int, of batch: PixelBatch) throws {
      guard let place = batch.place(of: slot) else { return }
      var generator = Xoshiro256(
        seed: seed, stream: RandomStream.augmentation, UInt64(truncatingIfNeeded: batch.step), UInt64(slot))
      let image = try source.image(at: batch.samples[slot])
      transform.write(image, using: &generator, to: place)
    }
  }
}
