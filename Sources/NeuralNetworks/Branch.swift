import Tensors

/// A residual branch of a transformer block, `x ← x + branch(x)`: the place of adapters that are no change of a linear map. A
/// LayerNorm stands before the branch or behind the sum.
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

/// What one pass has at a branch, each tensor `[batch, tokens, width]`.
public struct BranchState {
  /// What the branch was given: the stream after its LayerNorm, or the stream itself where LayerNorms follow the sums.
  public let input: Tensor
  /// The residual stream before the branch.
  public let stream: Tensor
  /// What the branch computed, and the frozen model adds to the stream.
  public let output: Tensor

  /// The LayerNorm that follows the sum of stream and output, as in BERT; nil where LayerNorms stand before the branches.
  public let normalized: ((Tensor) throws -> Tensor)?

  public init(
    input: Tensor, stream: Tensor, output: Tensor, normalized: ((Tensor) throws -> Tensor)? = nil
  ) {
    self.input = input
    self.stream = stream
    self.output = output
    self.normalized = normalized
  }
}
