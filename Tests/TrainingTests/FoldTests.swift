import Datasets
import Tensors
import Testing

@testable import Training

@Suite struct FoldTests {
  @Test func `parts are those of the domain's own split`() throws {
    let examples = try tinyExamples()
    let fold = Fold(of: examples, target: 1, trialSeed: 4, holdout: 0.2)
    for domain in 0..<3 {
      let split = DomainSplit(count: 30, domainIndex: domain, trialSeed: 4)
      #expect(fold.parts[domain].out == split.out.map { $0 + 30 * domain })
      #expect(fold.parts[domain].in == split.in.map { $0 + 30 * domain })
    }
    #expect(fold.sources == [0, 2])
    #expect(fold.pools == [fold.parts[0].in, fold.parts[2].in])
  }

  @Test func `what cannot be used is in neither part and moves nothing else`() throws {
    let whole = try tinyExamples()
    var usable = [Bool](repeating: true, count: 90)
    usable[7] = false
    usable[35] = false
    let examples = try TensorExamples(
      inputs: whole.inputs, labels: whole.labels, classes: whole.classes, domains: whole.domains,
      counts: [30, 30, 30], usable: usable)
    let (fold, all) = (Fold(of: examples, target: 0, trialSeed: 0), Fold(of: whole, target: 0, trialSeed: 0))
    for domain in 0..<3 {
      #expect(fold.parts[domain].in == all.parts[domain].in.filter { $0 != 7 && $0 != 35 })
      #expect(fold.parts[domain].out == all.parts[domain].out.filter { $0 != 7 && $0 != 35 })
    }
  }
}
