import NeuralNetworks
import Tensors

/// Trained tokens beside the image's own: visual prompt tuning.
///
/// Jia et al. 2022, "Visual Prompt Tuning", arXiv:2203.12119, eqs. 4 to 6. `p` prompts stand behind the class and register
/// tokens from the first chosen block on. *Shallow*, they run through the blocks as all tokens do; *deep*, each later chosen
/// block overwrites them with prompts of its own. Behind the last block they are taken out. They get no position embedding.
///
/// | parameter          | shape        | starts as                                                                  |
/// |--------------------|--------------|----------------------------------------------------------------------------|
/// | `blocks.N.prompts` | `[p, width]` | uniform on ±√(6 / (s + width)), `s` = 3·patch² the inputs of the patch map |
///
/// For a backbone that embeds otherwise than by a stem, `s` is the width.
public struct PromptTuning: AdapterConfiguration {
  public static let method = "VPT"
  public static let summary = "trained tokens beside the image's own (visual prompt tuning)"
  public static let paper: String? = "arXiv:2203.12119"
  public static let placement = AdapterPlacement.blocks

  /// `p`, 1 or more.
  public var tokens = 10
  /// Whether every chosen block has prompts of its own, and not the first alone.
  public var deep = true
  /// The probability that a number of a prompt is dropped, `0 ..< 1`.
  public var dropout = 0.0

  public init() {}

  public init(tokens: Int, deep: Bool = true) {
    self.tokens = tokens
    self.deep = deep
  }

  public var obstacleToMerging: String? { "its prompts are tokens of the sequence, and no weight holds tokens" }

  public func validate(_ sites: [Site]) throws {
    guard (1...65_536).contains(tokens) else { throw AdapterError.outOfRange("tokens", Double(tokens), "1 to 65536") }
    try AdapterError.checkRate("dropout", dropout)
  }

  public func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts {
    let blocks = deep ? sites.blocks : Array(sites.blocks.prefix(1))
    let stem = backbone.stem.flatMap { stem in backbone.tensors.first { $0.name == "\(stem).weight" }?.tensor }
    var prompts: [Int: Parameter] = [:]
    var parts = AdapterParts()
    for block in blocks {
      guard let width = backbone.branches.first(where: { $0.block == block })?.width else {
        throw AdapterError.noBranch(method: Self.method, kind: nil, block: block)
      }
      let inputs = stem.map { $0.shape.dropFirst().reduce(1, *) } ?? width
      let bound = (6 / Double(inputs + width)).squareRoot()
      let prompt = try Parameter(
        "blocks.\(block).prompts",
        .uniform([tokens, width], -bound, bound, device: backbone.device, from: generator), isWeight: false)
      prompts[block] = prompt
      parts.parameters.append(prompt)
    }
    parts.sequence = Prompts(first: blocks.first, prompts: prompts, tokens: tokens, dropout: dropout)
    return parts
  }
}

extension AdapterConfiguration where Self == PromptTuning {
  /// Visual prompt tuning with `tokens` prompts, at every block (`deep`) or at the first alone.
  public static func prompts(_ tokens: Int = 10, deep: Bool = true) -> PromptTuning {
    PromptTuning(tokens: tokens, deep: deep)
  }
}

struct Prompts: SequenceAdapter {
  /// The block before which the prompts come in.
  let first: Int?
  /// By block.
  let prompts: [Int: Parameter]
  let tokens: Int
  let dropout: Double

  func sequence(_ x: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor {
    guard let block else {
      let (head, tail) = (try x.narrowed(1, 0..<prefix), try x.narrowed(1, prefix + tokens..<x.shape[1]))
      return try .concatenated([head, tail], dimension: 1)
    }
    guard let own = prompts[block] else { return x }
    var fresh = try own.value.unsqueezed(0)
    if dropout > 0, let generator = pass.generator {
      fresh = try fresh.expanded(x.shape[0], -1, -1).dropout(dropout, from: generator)
    }
    return try Self.putting(fresh, into: x, behind: prefix, over: block == first ? 0 : tokens)
  }

  /// `prompts`, `[1 or batch, p, width]`, behind the first `prefix` tokens, in place of the next `replaced` ones.
  private static func putting(
    _ prompts: Tensor, into x: Tensor, behind prefix: Int, over replaced: Int
  ) throws -> Tensor {
    try Function.apply("prompts", to: [x, prompts]) { inputs in
      let (x, prompts) = (inputs[0], inputs[1])
      let shape = x.shape
      let (end, rows) = (prefix + prompts.shape[1], prompts.shape)
      let output = try Tensor.concatenated(
        [
          x.narrowed(1, 0..<prefix), prompts.to(x.dtype).expanded(shape[0], -1, -1),
          x.narrowed(1, prefix + replaced..<shape[1]),
        ], dimension: 1)
      return (
        [output],
        { gradients, needed in
          guard let gradient = gradients[0] else { return [nil, nil] }
          var results: [Tensor?] = [nil, nil]
          if needed[0] {
            let nothing = try Tensor.zeros([shape[0], replaced, shape[2]], dtype: x.dtype, device: x.device)
            let (head, tail) = (
              try gradient.narrowed(1, 0..<prefix), try gradient.narrowed(1, end..<gradient.shape[1])
            )
            results[0] = try .concatenated([head, nothing, tail], dimension: 1)
          }
          if needed[1] {
            let own = try gradient.narrowed(1, prefix..<end)
            results[1] = try rows[0] == 1 ? own.sum(0, keep: true) : own
          }
          return results
        }
      )
    }[0]
  }
}
