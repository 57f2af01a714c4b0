import CTorch
import Synchronization

/// What libtorch said when it refused an operation, with the operation and what it was given.
public struct TorchError: Error, Equatable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// Shapes, dtypes or devices that do not fit.
    case refused
    /// May be retried with less.
    case outOfMemory
    case other
  }

  public let kind: Kind
  public let operation: String
  /// The operands, as in `[2, 3] float32`.
  public let operands: [String]
  public let message: String

  public var description: String {
    let given = operands.isEmpty ? "" : " of " + operands.joined(separator: " and ")
    let remedy = kind == .outOfMemory ? " Use a smaller batch, a lower resolution or bfloat16." : ""
    return "\(operation)\(given): \(message)\(remedy)"
  }
}

/// The passage to the C functions. The operands are named in errors, and stay alive until the C function is back.
enum Torch {
  typealias Out = UnsafeMutablePointer<CTTensor?>
  typealias Failure = UnsafeMutablePointer<CTFailure>

  /// Calls a function that gives nothing back.
  @inline(__always)
  static func call(
    _ operation: StaticString, _ operands: Tensor?..., body: (Failure) throws -> CTStatus
  ) throws {
    var failure = CTFailure(message: nil, token: 0)
    let status = try body(&failure)
    if status != CT_OK { throw error(status, failure, operation, operands) }
  }

  /// Calls a function that gives back one tensor.
  @inline(__always)
  static func tensor(
    _ operation: StaticString, _ operands: Tensor?..., body: (Out, Failure) throws -> CTStatus
  ) throws -> Tensor {
    try tensor(operation, operands: operands, body: body)
  }

  @inline(__always)
  static func tensor(
    _ operation: StaticString, operands: [Tensor?], body: (Out, Failure) throws -> CTStatus
  ) throws -> Tensor {
    var failure = CTFailure(message: nil, token: 0)
    var out: CTTensor?
    let status = try body(&out, &failure)
    guard status == CT_OK, let out else { throw error(status, failure, operation, operands) }
    return Tensor(adopting: out)
  }

  @inline(never)
  static func error(
    _ status: CTStatus, _ failure: CTFailure, _ operation: StaticString, _ operands: [Tensor?]
  ) -> any Error {
    defer { ct_free(failure.message) }
    if status == CT_CALLBACK, let thrown = CallbackErrors.take(failure.token) { return thrown }
    let kind: TorchError.Kind = status == CT_OUT_OF_MEMORY ? .outOfMemory : status == CT_TORCH ? .refused : .other
    let text = failure.message.map { String(cString: $0) } ?? "no message"
    return TorchError(
      kind: kind, operation: "\(operation)", operands: operands.compactMap { $0?.summary },
      message: text.split(separator: "\n").first.map(String.init) ?? text)
  }
}

/// Errors thrown inside backward closures, on their way around libtorch to whoever called backward.
enum CallbackErrors {
  private static let waiting = Mutex<(next: UInt64, errors: [UInt64: any Error])>((1, [:]))

  static func put(_ error: any Error) -> UInt64 {
    waiting.withLock { waiting in
      let token = waiting.next
      waiting.next += 1
      waiting.errors[token] = error
      return token
    }
  }

  static func take(_ token: UInt64) -> (any Error)? { waiting.withLock { $0.errors.removeValue(forKey: token) } }
}
