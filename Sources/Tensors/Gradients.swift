import CTorch

extension Tensor {
  public var requiresGradient: Bool { withExtendedLifetime(self) { ct_requires_grad(raw) } }

  /// A leaf of the graph: made by hand rather than by an operation on something that requires a gradient.
  public var isLeaf: Bool { withExtendedLifetime(self) { ct_is_leaf(raw) } }

  /// This tensor, marked as one to compute a gradient for.
  @discardableResult
  public func requiringGradient(_ value: Bool = true) throws -> Tensor {
    try Torch.call("requiringGradient", self) { ct_set_requires_grad(raw, value, $0) }
    return self
  }

  /// The gradient accumulated by `backward`; nil where none has been.
  public func gradient() throws -> Tensor? {
    var out: CTTensor?
    try Torch.call("gradient", self) { ct_gradient(raw, &out, $0) }
    return out.map(Tensor.init(adopting:))
  }

  /// Puts `gradient`, of this tensor's shape, dtype and device, in the place of the gradient; nil for none.
  public func setGradient(_ gradient: Tensor?) throws {
    try Torch.call("setGradient", self, gradient) { ct_set_gradient(raw, gradient?.raw, $0) }
  }

  /// The same values outside the graph, sharing memory.
  public func detached() throws -> Tensor { try Torch.tensor("detached", self) { ct_detach(raw, $0, $1) } }

  /// Adds to the gradient of every leaf this tensor depends on.
  ///
  /// - Parameters:
  ///   - gradient: the gradient of this tensor; 1 where it is left out, and the tensor then has one element.
  ///   - retain: keeps what backward needs, for a second pass through the same graph.
  /// - Throws: `TorchError`, or whatever a `Function`'s backward closure threw.
  public func backward(_ gradient: Tensor? = nil, retain: Bool = false) throws {
    try Torch.call("backward", self, gradient) { ct_backward(raw, gradient?.raw, retain, $0) }
  }

  /// The gradients of this tensor with respect to `inputs`, in their order; nil for one it does not depend on.
  /// No leaf's own gradient changes. `create` builds a graph of the gradients themselves.
  public func gradients(
    _ inputs: [Tensor], gradient: Tensor? = nil, retain: Bool = false, create: Bool = false
  ) throws -> [Tensor?] {
    var out = [CTTensor?](repeating: nil, count: inputs.count)
    try Torch.call("gradients", self, gradient) { failure in
      inputs.withHandles { handles, count in
        ct_gradients(raw, gradient?.raw, handles, count, retain || create, create, &out, failure)
      }
    }
    return out.map { $0.map(Tensor.init(adopting:)) }
  }
}

/// Whether operations on this thread record a graph.
public var isRecordingGradients: Bool { ct_grad_enabled() }

/// Runs `body` without recording a graph, on this thread.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
  let before = ct_grad_enabled()
  ct_set_grad_enabled(false)
  defer { ct_set_grad_enabled(before) }
  return try body()
}

/// Runs `body` with a graph recorded, on this thread, even inside `withoutGradients`.
public func withGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
  let before = ct_grad_enabled()
  ct_set_grad_enabled(true)
  defer { ct_set_grad_enabled(before) }
  return try body()
}

/// Runs `body` with the products of matrices in `dtype` (bfloat16 or float16) and the rest in float32, on this thread.
///
/// - Throws: `TorchError` for another dtype; whatever `body` throws.
public func withAutocast<Result>(_ dtype: DType, on device: Device, _ body: () throws -> Result) throws -> Result {
  guard dtype == .bfloat16 || dtype == .float16 else {
    throw TorchError(
      kind: .refused, operation: "autocast", operands: [],
      message: "matrix products run in bfloat16 or float16, not in \(dtype).")
  }
  let before = (ct_autocast_enabled(device.kind), ct_autocast_dtype(device.kind))
  try Torch.call("autocast") { ct_set_autocast(device.kind, true, dtype.code, $0) }
  defer {
    var failure = CTFailure(message: nil, token: 0)
    // Setting back what was in force cannot be refused.
    _ = ct_set_autocast(device.kind, before.0, CTDType(rawValue: UInt32(before.1)), &failure)
    if !before.0 { ct_clear_autocast_cache() }
  }
  return try body()
}

/// The dtype that matrix products run in on this thread, where autocast is on.
public func autocastDType(on device: Device) -> DType? {
  ct_autocast_enabled(device.kind) ? DType(rawValue: Int32(ct_autocast_dtype(device.kind))) : nil
}

/// Runs `body` with autocast off, on this thread: for what needs float32 in the middle of a bfloat16 pass.
public func withFullPrecision<Result>(on device: Device, _ body: () throws -> Result) throws -> Result {
  guard let dtype = autocastDType(on: device) else { return try body() }
  try Torch.call("autocast") { ct_set_autocast(device.kind, false, dtype.code, $0) }
  defer {
    var failure = CTFailure(message: nil, token: 0)
    _ = ct_set_autocast(device.kind, true, dtype.code, &failure)
  }
  return try body()
}
