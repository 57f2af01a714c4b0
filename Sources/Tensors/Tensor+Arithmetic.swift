import CTorch

extension Tensor {
  func unary(_ name: StaticString, _ operation: CTUnary) throws -> Tensor {
    try Torch.tensor(name, self) { ct_unary(operation, raw, $0, $1) }
  }

  func binary(_ name: StaticString, _ operation: CTBinary, _ other: Tensor) throws -> Tensor {
    try Torch.tensor(name, self, other) { ct_binary(operation, raw, other.raw, $0, $1) }
  }

  func binary(_ name: StaticString, _ operation: CTBinary, _ number: Double) throws -> Tensor {
    try Torch.tensor(name, self) { ct_binary_scalar(operation, raw, number, $0, $1) }
  }

  public static func + (left: Tensor, right: Tensor) throws -> Tensor { try left.binary("add", CT_ADD, right) }
  public static func - (left: Tensor, right: Tensor) throws -> Tensor { try left.binary("subtract", CT_SUB, right) }
  public static func * (left: Tensor, right: Tensor) throws -> Tensor { try left.binary("multiply", CT_MUL, right) }
  public static func / (left: Tensor, right: Tensor) throws -> Tensor { try left.binary("divide", CT_DIV, right) }
  public static func + (left: Tensor, right: Double) throws -> Tensor { try left.binary("add", CT_ADD, right) }
  public static func - (left: Tensor, right: Double) throws -> Tensor { try left.binary("subtract", CT_SUB, right) }
  public static func * (left: Tensor, right: Double) throws -> Tensor { try left.binary("multiply", CT_MUL, right) }
  public static func / (left: Tensor, right: Double) throws -> Tensor { try left.binary("divide", CT_DIV, right) }
  public static func * (left: Double, right: Tensor) throws -> Tensor { try right * left }
  public static func + (left: Double, right: Tensor) throws -> Tensor { try right + left }
  public static func - (left: Double, right: Tensor) throws -> Tensor { try right.negated() + left }
  public static prefix func - (tensor: Tensor) throws -> Tensor { try tensor.negated() }

  public func power(_ exponent: Double) throws -> Tensor { try binary("power", CT_POW, exponent) }
  public func minimum(_ other: Tensor) throws -> Tensor { try binary("minimum", CT_MINIMUM, other) }
  public func maximum(_ other: Tensor) throws -> Tensor { try binary("maximum", CT_MAXIMUM, other) }

  // Comparisons give a bool tensor.
  public func equals(_ other: Tensor) throws -> Tensor { try binary("equals", CT_EQ, other) }
  public func equals(_ number: Double) throws -> Tensor { try binary("equals", CT_EQ, number) }
  public func isLess(than other: Tensor) throws -> Tensor { try binary("isLess", CT_LT, other) }
  public func isLess(than number: Double) throws -> Tensor { try binary("isLess", CT_LT, number) }
  public func isGreater(than other: Tensor) throws -> Tensor { try binary("isGreater", CT_GT, other) }
  public func isGreater(than number: Double) throws -> Tensor { try binary("isGreater", CT_GT, number) }
  public func isAtLeast(_ number: Double) throws -> Tensor { try binary("isAtLeast", CT_GE, number) }
  public func and(_ other: Tensor) throws -> Tensor { try binary("and", CT_LOGICAL_AND, other) }
  public func or(_ other: Tensor) throws -> Tensor { try binary("or", CT_LOGICAL_OR, other) }
  public func not() throws -> Tensor { try unary("not", CT_LOGICAL_NOT) }
  public func isFinite() throws -> Tensor { try unary("isFinite", CT_ISFINITE) }
  /// Whether no element is NaN or infinite.
  public func isAllFinite() throws -> Bool {
    // One number that is not finite makes the sum so. Finite ones do it only by overflow, so that a closer look is rare.
    if dtype.isFloatingPoint, try withoutGradients({ try sum().item() }).isFinite { return true }
    return try isFinite().all().item() == 1
  }

  public func negated() throws -> Tensor { try unary("negated", CT_NEG) }
  public func exp() throws -> Tensor { try unary("exp", CT_EXP) }
  public func log() throws -> Tensor { try unary("log", CT_LOG) }
  public func sqrt() throws -> Tensor { try unary("sqrt", CT_SQRT) }
  public func reciprocalSqrt() throws -> Tensor { try unary("reciprocalSqrt", CT_RSQRT) }
  public func reciprocal() throws -> Tensor { try unary("reciprocal", CT_RECIPROCAL) }
  public func squared() throws -> Tensor { try unary("squared", CT_SQUARE) }
  public func abs() throws -> Tensor { try unary("abs", CT_ABS) }
  public func sign() throws -> Tensor { try unary("sign", CT_SIGN) }
  public func sin() throws -> Tensor { try unary("sin", CT_SIN) }
  public func cos() throws -> Tensor { try unary("cos", CT_COS) }
  public func erf() throws -> Tensor { try unary("erf", CT_ERF) }
  public func tanh() throws -> Tensor { try unary("tanh", CT_TANH) }
  public func sigmoid() throws -> Tensor { try unary("sigmoid", CT_SIGMOID) }
  public func relu() throws -> Tensor { try unary("relu", CT_RELU) }
  public func silu() throws -> Tensor { try unary("silu", CT_SILU) }
  public func softplus() throws -> Tensor { try unary("softplus", CT_SOFTPLUS) }
  public func rounded() throws -> Tensor { try unary("rounded", CT_ROUND) }
  /// `x · Φ(x)`, with the exact normal distribution function.
  public func gelu() throws -> Tensor { try unary("gelu", CT_GELU) }
  /// GELU by its hyperbolic tangent approximation.
  public func geluTanh() throws -> Tensor { try unary("geluTanh", CT_GELU_TANH) }
  /// `x · σ(1.702 · x)`, CLIP's activation.
  public func quickGELU() throws -> Tensor {
    try Torch.tensor("quickGELU", self) { ct_quick_gelu(raw, 1.702, $0, $1) }
  }

  public func clamped(_ range: ClosedRange<Double>) throws -> Tensor {
    try Torch.tensor("clamped", self) { ct_clamp(raw, range.lowerBound, range.upperBound, $0, $1) }
  }

  /// This tensor where `condition` holds, `other` elsewhere.
  public func selected(where condition: Tensor, else other: Tensor) throws -> Tensor {
    try Torch.tensor("selected", condition, self, other) { ct_where(condition.raw, raw, other.raw, $0, $1) }
  }

  /// A copy with `value` where `mask` holds.
  public func filled(_ value: Double, where mask: Tensor) throws -> Tensor {
    try Torch.tensor("filled", self, mask) { ct_masked_fill(raw, mask.raw, value, $0, $1) }
  }

  // MARK: In place

  /// `self += scale · other`
  public func addInPlace(_ other: Tensor, scale: Double = 1) throws {
    try Torch.call("addInPlace", self, other) { ct_add_(raw, other.raw, scale, $0) }
  }

  public func multiplyInPlace(_ other: Tensor) throws {
    try Torch.call("multiplyInPlace", self, other) { ct_mul_(raw, other.raw, $0) }
  }

  public func scaleInPlace(_ factor: Double) throws {
    try Torch.call("scaleInPlace", self) { ct_scale_(raw, factor, $0) }
  }

  /// Takes over the values of `source`, converted to this tensor's dtype.
  public func copyInPlace(_ source: Tensor) throws {
    try Torch.call("copyInPlace", self, source) { ct_copy_(raw, source.raw, $0) }
  }

  public func fillInPlace(_ value: Double) throws {
    try Torch.call("fillInPlace", self) { ct_fill_(raw, value, $0) }
  }

  /// `self += weight · (end − self)`
  public func interpolateInPlace(to end: Tensor, weight: Double) throws {
    try Torch.call("interpolateInPlace", self, end) { ct_lerp_(raw, end.raw, weight, $0) }
  }

  /// `self = beta · self + alpha · left · right`, for matrices.
  public func addProductInPlace(_ left: Tensor, _ right: Tensor, alpha: Double = 1, beta: Double = 1) throws {
    try Torch.call("addProductInPlace", self, left, right) {
      ct_addmm_(raw, left.raw, right.raw, beta, alpha, $0)
    }
  }

  /// Adds the rows of `source` to the rows that `index` names.
  public func addInPlace(_ source: Tensor, at index: Tensor, dimension: Int = 0) throws {
    try Torch.call("addInPlace", self, index, source) {
      ct_index_add_(raw, Int64(dimension), index.raw, source.raw, $0)
    }
  }

  /// Writes the rows of `source` over the rows that `index` names.
  public func copyInPlace(_ source: Tensor, at index: Tensor, dimension: Int = 0) throws {
    try Torch.call("copyInPlace", self, index, source) {
      ct_index_copy_(raw, Int64(dimension), index.raw, source.raw, $0)
    }
  }
}
