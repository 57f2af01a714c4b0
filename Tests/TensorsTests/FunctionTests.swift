import Dispatch
import Foundation
import Synchronization
import Tensors
import Testing

@Suite struct FunctionTests {
  private struct Refusal: Error, Equatable {
    let reason: String
    let place: Int
  }

  private let x: Tensor
  private let released = Counter()

  init() throws { x = try Tensor([1, -2, 3] as [Double]) }

  private func square(_ tensor: Tensor, kept witness: Witness? = nil) throws -> Tensor {
    try Function.apply("square", to: [tensor]) { inputs in
      let x = inputs[0]
      return (
        [try x * x],
        { gradients, _ in try withExtendedLifetime(witness) { [try gradients[0].map { try $0 * x * 2 }] } }
      )
    }[0]
  }

  // MARK: Values and gradients

  @Test func `values and gradients are those of the closures`() throws {
    let leaf = try x.clone().requiringGradient()
    let y = try square(leaf)
    #expect(try y.doubles() == [1, 4, 9])
    #expect(y.requiresGradient && !y.isLeaf)
    try (y * 10).sum().backward()
    #expect(try leaf.gradient()?.doubles() == [20, -40, 60])
    #expect(leaf.isLeaf)
  }

  @Test func `functions compose with each other and with built-in ones`() throws {
    let function = { (x: Tensor) in try square(square(x.sin()) + x).sum() }
    try expectClose(backwardGradient(at: x, function), numericGradient(at: x, function), tolerance: 1e-7)
  }

  @Test func `only the gradients asked for are computed`() throws {
    let asked = Mutex<[[Bool]]>([])
    func product(_ a: Tensor, _ b: Tensor) throws -> Tensor {
      try Function.apply("product", to: [a, b]) { inputs in
        let (a, b) = (inputs[0], inputs[1])
        return (
          [try a * b],
          { gradients, needed in
            asked.withLock { $0.append(needed) }
            let gradient = try #require(gradients[0])
            return [needed[0] ? try gradient * b : nil, needed[1] ? try gradient * a : nil]
          }
        )
      }[0]
    }
    let leaf = try x.clone().requiringGradient()
    try product(x, leaf).sum().backward()
    #expect(try leaf.gradient()?.doubles() == [1, -2, 3])
    let other = try Tensor([5, 6, 7] as [Double]).requiringGradient()
    let both = try product(leaf, other).sum()
    #expect(try both.gradients([leaf], retain: true)[0]?.doubles() == [5, 6, 7])
    let gradients = try both.gradients([other, leaf])
    #expect(try gradients[0]?.doubles() == [1, -2, 3])
    #expect(try gradients[1]?.doubles() == [5, 6, 7])
    #expect(asked.withLock { $0 } == [[false, true], [true, false], [true, true]])
  }

  @Test func `an output that the loss leaves out has no gradient, and an input may be given none`() throws {
    let seen = Mutex<[Bool]>([])
    let (leaf, ignored) = (try x.clone().requiringGradient(), try x.clone().requiringGradient())
    let outputs = try Function.apply("pair", to: [leaf, ignored]) { inputs in
      (
        [try inputs[0] * 2, try inputs[0] * 3],
        { gradients, _ in
          seen.withLock { $0 = gradients.map { $0 == nil } }
          return [try gradients[1].map { try $0 * 3 }, nil]
        }
      )
    }
    try outputs[1].sum().backward()
    #expect(seen.withLock { $0 } == [true, false])
    #expect(try leaf.gradient()?.doubles() == [3, 3, 3])
    #expect(try ignored.gradient() == nil)
  }

  @Test func `whole numbers may stand among the outputs`() throws {
    let leaf = try x.clone().requiringGradient()
    let outputs = try Function.apply("ordered", to: [leaf]) { inputs in
      let (values, indices) = try inputs[0].sorted()
      return (
        [indices, values],
        { gradients, _ in
          #expect(gradients[0] == nil)
          return [try gradients[1].map { try $0.scattered(0, indices, $0) }]
        }
      )
    }
    #expect(try outputs[0].integers() == [1, 0, 2])
    #expect(outputs[0].requiresGradient == false)
    try outputs[1].backward(Tensor([10, 20, 30] as [Double]))
    #expect(try leaf.gradient()?.doubles() == [20, 10, 30])
  }

  @Test func `the input may be the output`() throws {
    let leaf = try x.clone().requiringGradient()
    let y = try Function.apply("identity", to: [leaf]) { ($0, { gradients, _ in gradients }) }[0]
    try (y * 4).sum().backward()
    #expect(y.sharesStorage(with: leaf))
    #expect(try leaf.gradient()?.doubles() == [4, 4, 4])
  }

  @Test func `a gradient of another dtype is converted`() throws {
    let leaf = try x.clone().requiringGradient()
    let y = try Function.apply("half", to: [leaf]) { inputs in
      ([try inputs[0] / 2], { gradients, _ in [try gradients[0].map { try $0.to(.float32) / 2 }] })
    }[0]
    try y.sum().backward()
    #expect(try leaf.gradient()?.array(of: Double.self) == [0.5, 0.5, 0.5])
  }

  @Test func `no graph is recorded where none is wanted`() throws {
    #expect(try square(x).requiresGradient == false)
    let leaf = try x.clone().requiringGradient()
    #expect(try withoutGradients { try square(leaf) }.requiresGradient == false)
    let recording = try Function.apply("probe", to: [leaf]) { inputs in
      #expect(inputs[0].requiresGradient == false)
      let inside = try leaf * 2
      #expect(inside.requiresGradient == false)
      return (inputs, { gradients, _ in gradients })
    }
    #expect(recording[0].requiresGradient)
  }

  // MARK: Errors

  @Test func `an error from the forward closure comes back, and nothing stays behind`() throws {
    let number = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
    defer { number.deallocate() }
    number.storeBytes(of: 2, as: Double.self)
    #expect(throws: Refusal(reason: "forward", place: 1)) {
      let witness = Witness(released)
      let factor = try Tensor(
        sharing: UnsafeRawBufferPointer(number), shape: [], dtype: .float64, owner: Witness(released))
      _ = try Function.apply("failing", to: [x.clone().requiringGradient(), factor]) { inputs in
        if inputs.count == 2 { throw Refusal(reason: "forward", place: 1) }
        return (inputs, { gradients, _ in withExtendedLifetime(witness) { gradients } })
      }
    }
    #expect(released.count == 2)
  }

  @Test func `an error from the backward closure reaches whoever called backward, as it is`() throws {
    let leaf = try x.clone().requiringGradient()
    func failing(_ place: Int) throws -> Tensor {
      let witness = Witness(released)
      return try square(
        Function.apply("failing", to: [leaf]) { inputs in
          (
            inputs,
            { _, _ in try withExtendedLifetime(witness) { throw Refusal(reason: "backward", place: place) } }
          )
        }[0])
    }
    #expect(throws: Refusal(reason: "backward", place: 1)) { try failing(1).sum().backward() }
    #expect(throws: Refusal(reason: "backward", place: 2)) { try failing(2).sum().gradients([leaf]) }
    #expect(released.count == 2)
    // The engine is as good as before.
    try square(leaf).sum().backward()
    #expect(try leaf.gradient()?.doubles() == [2, -4, 6])
  }

  @Test func `an error of libtorch's inside the backward closure keeps its own words`() throws {
    let leaf = try x.clone().requiringGradient()
    let y = try Function.apply("misshapen", to: [leaf]) { inputs in
      (inputs, { gradients, _ in [try gradients[0].map { try $0 + Tensor.zeros([2]) }] })
    }[0]
    let error = try thrown { try y.sum().backward() }
    #expect(error.operation == "add")
    #expect(error.operands == ["[3] float64", "[2] float32"])
  }

  @Test(arguments: [0, 1, 3]) func `another number of gradients than inputs is refused`(count: Int) throws {
    let leaf = try x.clone().requiringGradient()
    let y = try Function.apply("miscounting", to: [leaf, x]) { inputs in
      ([try inputs[0] * 1], { gradients, _ in [Tensor?](repeating: gradients[0], count: count) })
    }[0]
    let error = try thrown(GradientCountError.self) { try y.sum().backward() }
    #expect(error.expected == 2)
    #expect(error.found == count)
    #expect(
      error.description
        == "The backward closure of 'miscounting' returned \(count) gradients for 2 inputs. Return nil for none.")
    #expect(try leaf.gradient() == nil)
  }

  // [2, 3] and [1] are shapes that libtorch by itself would sum or spread to [3].
  @Test(arguments: [[2], [2, 3], [1], []])
  func `a gradient of another shape than its input's is refused`(shape: [Int]) throws {
    let leaf = try x.clone().requiringGradient()
    let y = try Function.apply("misshapen", to: [x, leaf]) { inputs in
      ([try inputs[0] * inputs[1]], { _, _ in [nil, try Tensor.ones(shape, dtype: .float64)] })
    }[0]
    let error = try thrown { try y.sum().backward() }
    #expect(error.operation == "backward")
    #expect(error.message == "misshapen: the gradient of input 1 has shape \(shape), the input [3]")
    #expect(try leaf.gradient() == nil)
  }

  @Test func `a second backward pass needs the first to retain`() throws {
    let leaf = try x.clone().requiringGradient()
    let once = try square(leaf).sum()
    try once.backward()
    let error = try thrown { try once.backward() }
    #expect(error.kind == .refused)
    let twice = try square(leaf)
    try twice.backward(Tensor.ones([3], dtype: .float64), retain: true)
    try twice.backward(Tensor.ones([3], dtype: .float64))
    #expect(try leaf.gradient()?.doubles() == [6, -12, 18])
    // Without a built-in node in the way, the message is the function's own.
    let own = try thrown { try twice.backward(Tensor.ones([3], dtype: .float64)) }
    #expect(
      own.message == "square: its saved values were freed by an earlier backward pass; keep them with retain")
  }

  @Test func `gradients of gradients are refused`() throws {
    let leaf = try x.clone().requiringGradient()
    let error = try thrown { _ = try square(leaf).sum().gradients([leaf], create: true) }
    #expect(error.message == "square: gradients of gradients are not defined for this function")
  }

  // MARK: Re-entry and threads

  @Test func `a backward closure may run another backward pass`() throws {
    let leaf = try x.clone().requiringGradient()
    // Computes x³ again from x in the backward pass and differentiates that, as checkpointing does.
    let y = try Function.apply("checkpoint", to: [leaf]) { inputs in
      let x = inputs[0]
      return (
        [try x * x * x],
        { gradients, _ in
          try withGradients {
            let again = try x.clone().requiringGradient()
            return try (square(again) * again).gradients([again], gradient: gradients[0])
          }
        }
      )
    }[0]
    try (y * 2).sum().backward()
    try expectClose(#require(try leaf.gradient()), [6, 24, 54], tolerance: 1e-12)
  }

  /// `2^depth · x`, each factor in a backward pass inside the backward pass around it.
  private static func nested(_ x: Tensor, _ depth: Int, _ seen: Seen) throws -> Tensor {
    try Function.apply("nested", to: [x]) { inputs in
      let x = inputs[0]
      return (
        [try x * pow(2, Double(depth))],
        { gradients, _ in
          seen.visit()
          guard depth > 0 else {
            if seen.fails { throw Refusal(reason: "innermost", place: 0) }
            return gradients
          }
          return try withGradients {
            let again = try x.clone().requiringGradient()
            return try nested(again, depth - 1, seen).gradients([again], gradient: gradients[0]).map {
              try $0.map { try $0 * 2 }
            }
          }
        }
      )
    }[0]
  }

  private final class Seen: Sendable {
    let threads = Mutex<Set<UInt>>([])
    let fails: Bool
    init(fails: Bool) { self.fails = fails }
    func visit() {
      let thread = UInt(bitPattern: ObjectIdentifier(Thread.current).hashValue)
      threads.withLock { _ = $0.insert(thread) }
    }
  }

  // libtorch moves passes nested deeper than 60 to threads of its own.
  @Test(arguments: [1, 200]) func `passes nest deeply, across libtorch's threads`(depth: Int) throws {
    let leaf = try x.clone().requiringGradient()
    let seen = Seen(fails: false)
    try Self.nested(leaf, depth, seen).sum().backward()
    #expect(try leaf.gradient()?.doubles() == [Double](repeating: pow(2, Double(depth)), count: 3))
    #expect(seen.threads.withLock { $0.count > 1 } == (depth > 60))
    #expect(throws: Refusal(reason: "innermost", place: 0)) {
      try Self.nested(leaf, depth, Seen(fails: true)).sum().backward()
    }
  }

  @Test func `several threads may run passes at once, over graphs of their own and over one they share`() throws {
    let shared = try square(x.clone().requiringGradient(), kept: Witness(released))
    let ones = try Tensor.ones([3], dtype: .float64)
    let leaf = try x.clone().requiringGradient()
    let toShared = try square(leaf)
    let failures = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 200) { index in
      do {
        let own = try Tensor([Double(index)]).requiringGradient()
        try square(square(own)).sum().backward()
        let expected = 4 * pow(Double(index), 3)
        let found = try own.gradient()?.doubles()
        if found != [expected] { failures.withLock { $0.append("\(index): \(String(describing: found))") } }
        try shared.backward(ones, retain: true)
        try toShared.backward(ones, retain: true)
      } catch { failures.withLock { $0.append("\(error)") } }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(try leaf.gradient()?.doubles() == [400, -800, 1_200])
    #expect(released.count == 0)
  }

  @Test func `errors of several threads do not mix`() throws {
    let mixed = Mutex<[String]>([])
    let x = x
    DispatchQueue.concurrentPerform(iterations: 200) { index in
      do {
        let y = try Function.apply("failing", to: [x.clone().requiringGradient()]) { inputs in
          (inputs, { _, _ in throw Refusal(reason: "thread", place: index) })
        }[0]
        try y.sum().backward()
        mixed.withLock { $0.append("\(index) did not throw") }
      } catch {
        if error as? Refusal != Refusal(reason: "thread", place: index) { mixed.withLock { $0.append("\(error)") } }
      }
    }
    #expect(mixed.withLock { $0 } == [])
  }

  // MARK: What the closure keeps is let go, once

  @Test func `after the backward pass, though the output lives on`() throws {
    let y = try square(x.clone().requiringGradient(), kept: Witness(released))
    #expect(released.count == 0)
    try y.sum().backward()
    #expect(released.count == 1)
    #expect(try y.doubles() == [1, 4, 9])
  }

  @Test func `with the graph, where the pass retains or never comes`() throws {
    try {
      let y = try square(x.clone().requiringGradient(), kept: Witness(released))
      try y.sum().backward(retain: true)
      #expect(released.count == 0)
    }()
    #expect(released.count == 1)
    try {
      let y = try square(x.clone().requiringGradient(), kept: Witness(released))
      let z = try y.sum()
      #expect(released.count == 1)
      #expect(try z.item() == 14)
    }()
    #expect(released.count == 2)
  }

  @Test func `at once, where no input needs a gradient`() throws {
    let y = try square(x, kept: Witness(released))
    #expect(released.count == 1)
    _ = try withoutGradients { try square(x.clone().requiringGradient(), kept: Witness(released)) }
    #expect(released.count == 2)
    #expect(try y.doubles() == [1, 4, 9])
  }

  @Test func `though the closure keeps the tensor that the function made`() throws {
    try {
      let y = try Function.apply("exponential", to: [x.clone().requiringGradient()]) { inputs in
        let (y, witness) = (try inputs[0].exp(), Witness(released))
        return ([y], { gradients, _ in try withExtendedLifetime(witness) { [try gradients[0].map { try $0 * y }] } })
      }[0]
      #expect(y.requiresGradient)
    }()
    #expect(released.count == 1)
  }

  @Test func `a long chain is dropped without recursion`() throws {
    let links = 5_000
    try {
      var y = try Tensor([1.0]).requiringGradient()
      for _ in 0..<links {
        let witness = Witness(released)
        y = try Function.apply("link", to: [y]) {
          ($0, { gradients, _ in withExtendedLifetime(witness) { gradients } })
        }[0]
      }
    }()
    #expect(released.count == links)
  }
}
