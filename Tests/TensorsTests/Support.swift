import Synchronization
import Tensors
import Testing

/// How many of something were let go.
final class Counter: Sendable {
  private let value = Mutex(0)
  var count: Int { value.withLock { $0 } }
  func increment() { value.withLock { $0 += 1 } }
}

/// Counts the release of whatever keeps it.
final class Witness: Sendable {
  let released: Counter
  init(_ released: Counter) { self.released = released }
  deinit { released.increment() }
}

func expectClose(
  _ tensor: Tensor, _ expected: [Double], tolerance: Double = 1e-6, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let found = try tensor.doubles()
  #expect(found.count == expected.count, sourceLocation: sourceLocation)
  for (index, (one, other)) in zip(found, expected).enumerated() where !(abs(one - other) <= tolerance) {
    Issue.record("element \(index) is \(one), not \(other)", sourceLocation: sourceLocation)
  }
}

/// The error that `body` throws, as the type it should have.
func thrown<Failure: Error>(
  _ type: Failure.Type = TorchError.self, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) throws -> Failure {
  try #require(#expect(throws: type, sourceLocation: sourceLocation, performing: body), sourceLocation: sourceLocation)
}

/// The gradient of `function` at `point` by central differences, in float64.
func numericGradient(at point: Tensor, step: Double = 1e-5, _ function: (Tensor) throws -> Tensor) throws -> [Double] {
  let values = try point.doubles()
  return try values.indices.map { index in
    func value(_ offset: Double) throws -> Double {
      var moved = values
      moved[index] += offset
      return try function(Tensor(moved, shape: point.shape)).item()
    }
    return try (value(step) - value(-step)) / (2 * step)
  }
}

/// The gradient of `function` at `point` by backward.
func backwardGradient(at point: Tensor, _ function: (Tensor) throws -> Tensor) throws -> Tensor {
  let leaf = try point.clone().requiringGradient()
  return try #require(try function(leaf).gradients([leaf]).first ?? nil)
}
