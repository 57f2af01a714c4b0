import NeuralNetworks
import Tensors

/// An adaptation that passes everything on, and notes the first site whose output is not finite.
final class FiniteCheck: Adaptation, @unchecked Sendable {
  private let wrapped: any Adaptation
  /// Written by the one task that runs the pass.
  private(set) var firstSite: String?

  init(_ wrapped: any Adaptation) { self.wrapped = wrapped }

  func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
    let output = try wrapped.output(of: linear, input: input, pass: pass)
    if firstSite == nil, try !output.isAllFinite() { firstSite = linear.site.name }
    return output
  }

  func value(of name: String, original: Tensor) throws -> Tensor {
    try wrapped.value(of: name, original: original)
  }

  func output(of branch: Branch, _ state: BranchState, pass: ForwardPass) throws -> Tensor {
    let output = try wrapped.output(of: branch, state, pass: pass)
    if firstSite == nil, try !output.isAllFinite() { firstSite = branch.name }
    return output
  }

  func sequence(_ tokens: Tensor, entering block: Int?, prefix: Int, pass: ForwardPass) throws -> Tensor {
    try wrapped.sequence(tokens, entering: block, prefix: prefix, pass: pass)
  }
}
