import Tensors

/// The hooks that a backbone calls: everything that adapters may change of it. A backbone names no method, and a hook that is
/// not implemented leaves the backbone as it is.
public protocol Adaptation: Sendable {
  /// The output of the linear map at a site, `[…, inFeatures]` to `[…, outFeatures]`.
  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor

  /// The value to use for one of the backbone's own tensors, by its name: `original` unless it is tuned itself.
  func value(of name: String, original: Tensor) throws -> Tensor

  /// What is added to the residual stream at a branch, `[batch, tokens, width]`: the branch's own output unless it is changed.
  func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor

  /// The tokens with which a block begins, `[batch, tokens, width]`. It may put tokens of its own behind the first `prefix`
  /// ones, which are the model's class and register tokens; after the last block it takes them out again.
  ///
  /// - Parameter block: counted from 0; nil after the last block.
  func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor
}

extension Adaptation {
  public func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor { try linear(input) }
  public func value(of name: String, original: Tensor) throws -> Tensor { original }
  public func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor { state.output }
  public func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor {
    tokens
  }
}

/// The backbone as it is.
public struct Frozen: Adaptation {
  public init() {}
}
