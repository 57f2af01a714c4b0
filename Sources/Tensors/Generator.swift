import CTorch

/// A seeded stream of random numbers. The same seed gives the same numbers on every device.
///
/// `@unchecked Sendable`: libtorch takes the generator's own lock for each draw. The order of draws from several tasks is
/// theirs, so whoever wants a reproducible stream draws from one task.
public final class Generator: @unchecked Sendable {
  private let raw: CTGenerator
  public let seed: UInt64

  public init(seed: UInt64) throws {
    var raw: CTGenerator?
    try Torch.call("generator") { ct_generator_new(seed, &raw, $0) }
    guard let raw else {
      throw TorchError(kind: .other, operation: "generator", operands: [], message: "no generator was made")
    }
    self.raw = raw
    self.seed = seed
  }

  deinit { ct_generator_release(raw) }

  /// The place in the stream, to be saved with a checkpoint.
  public func state() throws -> [UInt8] {
    try withExtendedLifetime(self) {
      try Torch.tensor("generator state") { ct_generator_get_state(raw, $0, $1) }.array()
    }
  }

  /// - Throws: `TorchError` if the bytes are no state of such a generator.
  public func restore(_ state: [UInt8]) throws {
    let tensor = try Tensor(state)
    try withExtendedLifetime(self) {
      try Torch.call("generator state", tensor) { ct_generator_set_state(raw, tensor.raw, $0) }
    }
  }

  /// A generator of its own for one purpose, so that what one part draws does not move another's stream.
  public func derived(_ purpose: String) throws -> Generator {
    // FNV-1a over the purpose, mixed with the seed by the finalizer of SplitMix64.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    var mixed = hash &+ seed &* 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return try Generator(seed: mixed ^ (mixed >> 31))
  }

  fileprivate func fill(
    _ tensor: Tensor, _ name: StaticString, _ body: (CTTensor, CTGenerator, Torch.Failure) -> CTStatus
  ) throws -> Tensor {
    try withExtendedLifetime(self) {
      try Torch.call(name, tensor) { body(tensor.raw, raw, $0) }
    }
    return tensor
  }

  /// A random order of `0 ..< count`, int64.
  public func permutation(_ count: Int) throws -> Tensor {
    try withExtendedLifetime(self) {
      try Torch.tensor("permutation") { ct_permutation(Int64(count), raw, $0, $1) }
    }
  }
}

extension Tensor {
  /// Uniform on `[low, high)`.
  public static func uniform(
    _ shape: [Int], _ low: Double = 0, _ high: Double = 1, dtype: DType = .float32, device: Device = .cpu,
    from generator: Generator
  ) throws -> Tensor {
    try generator.fill(.zeros(shape, dtype: dtype, device: device), "uniform") { ct_uniform_($0, low, high, $1, $2) }
  }

  public static func normal(
    _ shape: [Int], mean: Double = 0, deviation: Double = 1, dtype: DType = .float32, device: Device = .cpu,
    from generator: Generator
  ) throws -> Tensor {
    try generator.fill(.zeros(shape, dtype: dtype, device: device), "normal") {
      ct_normal_($0, mean, deviation, $1, $2)
    }
  }

  /// Ones with the given probability, zeros elsewhere.
  public static func bernoulli(
    _ shape: [Int], probability: Double, dtype: DType = .float32, device: Device = .cpu, from generator: Generator
  ) throws -> Tensor {
    try generator.fill(.zeros(shape, dtype: dtype, device: device), "bernoulli") {
      ct_bernoulli_($0, probability, $1, $2)
    }
  }

  /// Zeros with probability `rate`, `1 / (1 − rate)` elsewhere, so that the mean is 1. `rate` is `0 ..< 1`.
  public static func dropoutMask(
    _ shape: [Int], rate: Double, dtype: DType = .float32, device: Device = .cpu, from generator: Generator
  ) throws -> Tensor {
    let mask = try bernoulli(shape, probability: 1 - rate, dtype: dtype, device: device, from: generator)
    try mask.scaleInPlace(1 / (1 - rate))
    return mask
  }

  /// Zeroes each element with probability `rate` and scales the rest, so that the mean stays.
  public func dropout(_ rate: Double, from generator: Generator) throws -> Tensor {
    guard rate > 0 else { return self }
    guard rate < 1 else { return try self * 0 }
    return try self * .dropoutMask(shape, rate: rate, dtype: dtype, device: device, from: generator)
  }
}
