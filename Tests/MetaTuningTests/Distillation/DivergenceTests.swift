import MetaTuning
import Tensors
import Testing

@Suite struct DivergenceTests {
  /// The logits of specification 9, oracle 8, and their divergences at T = 2.
  @Test(arguments: [
    (Divergence.reverse, 0.224055, [0.306145, -0.234211, -0.071934]),
    (.forward, 0.232907, [0.325392, -0.263138, -0.062254]),
  ])
  func `both directions have their values and gradients`(_ direction: Divergence, _ value: Double, _ gradient: [Double])
    throws
  {
    let student = try Tensor([2.0, 0, -1], shape: [1, 3]).requiringGradient()
    let loss = try direction(student: student, target: Tensor([1, 0.5, -1], shape: [1, 3]), temperature: 2)
    #expect(abs(try loss.detached().item() - value) < 1e-6)
    try loss.backward()
    let found = try #require(try student.gradient())
    #expect(try found.distance(to: Tensor(gradient, shape: [1, 3])) < 1e-6)
  }

  @Test func `the loss is the mean over queries, and none of it reaches the target`() throws {
    let student = try Tensor([2.0, 0, -1, 1, 0.5, -1], shape: [2, 3]).requiringGradient()
    let target = try Tensor([1.0, 0.5, -1, 1, 0.5, -1], shape: [2, 3]).requiringGradient()
    let loss = try Divergence.reverse(student: student, target: target, temperature: 2)
    // The second query's is 0.
    #expect(abs(try loss.detached().item() - 0.224055 / 2) < 1e-6)
    try loss.backward()
    #expect(try target.gradient() == nil)
    let found = try #require(try student.gradient())
    #expect(try found.select(0, 1).abs().max().item() < 1e-12)
    #expect(abs(try found.select(0, 0).doubles()[0] - 0.306145 / 2) < 1e-6)
  }
}
