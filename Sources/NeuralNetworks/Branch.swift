import Tensors

/// A residual branch of a transformer block, `x ← x + branch(x)`: the place of adapters that are no change of a linear map.
public struct Branch: Hashable, Sendable {
  /// As in `blocks.3.attn` and `blocks.3.mlp`.
  public let name: String
  /// The transformer block, counted from 0.
  public let block: Int
  public let kind: Kind
  /// The width of the residual stream.
  public let width: Int

  public enum Kind: String, Codable, Hashable, Sendable {
    case attention
    case mlp
  }

  public init(name: String, block: Int, kind: Kind, width: Int) {
    self.name = name
    self.block = block
    self.kind = kind
    self.width = width
  }
}

/// What one pass has at a branch, each `[batch, tokens, width]`.
public struct BranchState {
  /// What the branch was given: the stream after its LayerNorm.
  public let input: Tensor
  /// The residual stream before the branch.
  public let stream: Tensor
  /// What the branch computed, and the frozen model adds to the stream.
  public let output: Tensor

  public init(input: Tensor, stream: Tensor, output: Tensor) {
    self.input = input
    self.stream = stream
    self.output = output
  }
}
