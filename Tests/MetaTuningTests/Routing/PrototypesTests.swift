import MetaTuning
import Tensors
import Testing

@Suite struct PrototypesTests {
  private let features = [3.0, 4, 1, 0, 5, 0, 0, 2]

  @Test func `a prototype is the mean of its class, whatever the order of the examples`() throws {
    let means = try Prototypes.means(of: Tensor(features, shape: [4, 2]), labels: [1, 0, 1, 0], ways: 2)
    #expect(try means.doubles() == [0.5, 1, 4, 2])
  }

  @Test func `logits are ten times the cosine`() throws {
    let logits = try Prototypes.logits(
      Tensor([3.0, 4, 0, -2], shape: [2, 2]), Tensor([1.0, 0, 0, 5, 3, 4], shape: [3, 2]))
    #expect(try logits.isClose(to: Tensor([6.0, 8, 10, 0, -10, -8], shape: [2, 3]), tolerance: 1e-12))
    #expect(
      try Prototypes.logits(Tensor([2.0, 0], shape: [1, 2]), Tensor([1.0, 0], shape: [1, 2]), scale: 3).doubles()
        == [3])
  }

  @Test func `a feature of zeros is as far from every class`() throws {
    let zero = try Tensor([0.0, 0], shape: [1, 2]).requiringGradient()
    let logits = try Prototypes.logits(zero, Tensor([1.0, 0, 0, 5], shape: [2, 2]))
    #expect(try logits.doubles() == [0, 0])
    try logits.sum().backward()
    #expect(try #require(try zero.gradient()).isAllFinite())
  }

  @Test func `what makes no classifier is refused, with the remedy`() throws {
    func refusal(_ labels: [Int], _ ways: Int) throws -> PrototypeError? {
      let features = try Tensor(features, shape: [4, 2])
      return #expect(throws: PrototypeError.self) {
        _ = try Prototypes.means(of: features, labels: labels, ways: ways)
      }
    }
    #expect(try refusal([0, 0, 2, 0], 3) == .noSupport(1, ways: 3))
    #expect(
      PrototypeError.noSupport(1, ways: 3).description
        == "Class 1 of 3 has no support example, so it has no prototype. Give one example or more, or leave it out.")
    #expect(try refusal([0, 0, 0, 0], 1) == .ways(1))
    #expect(try refusal([0, 1, 2, 0], 2) == .label(2, ways: 2))
    #expect(try refusal([0, -1, 1, 0], 2) == .label(-1, ways: 2))
    #expect(try refusal([0, 1, 0], 2) == .count(features: 4, labels: 3))
  }
}
