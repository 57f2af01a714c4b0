import CTorch

/// A differentiable function whose backward pass is written in Swift.
///
/// The forward closure runs at once, without a graph, and returns the outputs together with the backward closure, which
/// keeps whatever it captured until the backward pass has used it:
///
/// ```swift
/// let y = try Function.apply("square", to: [x]) { inputs in
///   let x = inputs[0]
///   return ([try x * x], { gradients, needed in [try gradients[0].map { try $0 * x * 2 }] })
/// }
/// ```
///
/// The backward closure may be called from a thread of libtorch's, may itself run other backward passes, and may throw:
/// the error reaches whoever called `backward`. Gradients of gradients are refused, not silently wrong. What it captured
/// must not be changed in place before it has run: nothing checks that.
public enum Function {
  /// - Parameters:
  ///   - gradients: one for each output; nil where the loss does not depend on it, or where it holds whole numbers.
  ///   - needed: for each input, whether its gradient is asked for.
  /// - Returns: one gradient for each input, in exactly the input's shape; nil for none.
  public typealias Backward = @Sendable (_ gradients: [Tensor?], _ needed: [Bool]) throws -> [Tensor?]

  /// The outputs of `forward`, tied to `inputs` where one of them requires a gradient.
  ///
  /// The backward closure is let go once a backward pass without `retain` has used it, with the graph, or at once where
  /// no input requires a gradient.
  ///
  /// - Parameters:
  ///   - name: stands in errors.
  ///   - forward: is given the inputs outside the graph.
  /// - Throws: whatever `forward` throws; `TorchError`.
  public static func apply(
    _ name: StaticString, to inputs: [Tensor], _ forward: ([Tensor]) throws -> (outputs: [Tensor], backward: Backward)
  ) throws -> [Tensor] {
    let (outputs, backward) = try withoutGradients { try forward(inputs.map { try $0.detached() }) }
    let node = Node(name: "\(name)", backward: backward)
    var attached = [CTTensor?](repeating: nil, count: outputs.count)
    try node.name.withCString { text in
      let function = CTFunction(
        name: text, context: Unmanaged.passRetained(node).toOpaque(), backward: runBackward,
        release: { context in
          guard let context else { return }
          Unmanaged<Node>.fromOpaque(context).release()
        })
      // From here the node is libtorch's: it releases it even where attaching fails.
      try Torch.call(name) { failure in
        inputs.withHandles { inputs, inputCount in
          outputs.withHandles { outputs, outputCount in
            ct_attach_function(function, inputs, inputCount, outputs, outputCount, &attached, failure)
          }
        }
      }
    }
    return attached.compactMap { $0.map(Tensor.init(adopting:)) }
  }

  fileprivate final class Node: Sendable {
    let name: String
    let backward: Backward
    init(name: String, backward: @escaping Backward) {
      self.name = name
      self.backward = backward
    }
  }
}

/// A backward closure gave back another number of gradients than its function has inputs.
public struct GradientCountError: Error, Equatable, CustomStringConvertible {
  public let function: String
  public let expected: Int
  public let found: Int
  public var description: String {
    "The backward closure of '\(function)' returned \(found) gradients for \(expected) inputs. Return nil for none."
  }
}

private func runBackward(
  context: UnsafeMutableRawPointer?, gradients: UnsafePointer<CTTensor?>?, gradientCount: Int32,
  needed: UnsafePointer<Bool>?, results: UnsafeMutablePointer<CTTensor?>?, resultCount: Int32, failure: Torch.Failure?
) -> CTStatus {
  // libtorch hands over exactly what `ct_attach_function` was given.
  guard let context, let gradients, let needed, let results else { return CT_OTHER }
  let node = Unmanaged<Function.Node>.fromOpaque(context).takeUnretainedValue()
  do {
    let given = try UnsafeBufferPointer(start: gradients, count: Int(gradientCount)).map { raw in
      // Borrowed; the alias is ours to release.
      try raw.map { raw in try Torch.tensor("gradient") { ct_detach(raw, $0, $1) } }
    }
    let wanted = Array(UnsafeBufferPointer(start: needed, count: Int(resultCount)))
    let computed = try withoutGradients { try node.backward(given, wanted) }
    guard computed.count == resultCount else {
      throw GradientCountError(function: node.name, expected: Int(resultCount), found: computed.count)
    }
    for (index, gradient) in computed.enumerated() {
      guard let gradient else { continue }
      results[index] = try gradient.owned()
    }
    return CT_OK
  } catch {
    failure?.pointee.token = CallbackErrors.put(error)
    return CT_CALLBACK
  }
}

extension Tensor {
  /// A reference for libtorch to keep.
  fileprivate func owned() throws -> CTTensor {
    var out: CTTensor?
    try Torch.call("detached", self) { ct_detach(raw, &out, $0) }
    guard let out else { throw TorchError(kind: .other, operation: "detached", operands: [], message: "no result") }
    return out
  }
}
