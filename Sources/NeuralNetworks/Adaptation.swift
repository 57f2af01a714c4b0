import Tensors

/// The hook that a backbone calls: everything that adapters may change of it. A backbone names no method.
public protocol Adaptation: Sendable {
  /// The output of the linear map at a site, `[…, inFeatures]` to `[…, outFeatures]`.
  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor

  /// The value to use for one of the backbone's own tensors, by its name: `original` unless it is tuned itself.
  func value(of name: String, original: Tensor) -> Tensor
}

/// The backbone as it is.
public struct Frozen: Adaptation {
  public init() {}
  public func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor { try linear(input) }
  public func value(of name: String, original: Tensor) -> Tensor { original }
}
