import Tensors
import Testing

@testable import Mixing

@Suite struct SentenceSimilarityTests {
  @Test func `the score is the mean cosine over all cross pairs`() throws {
    let generator = try Generator(seed: 1)
    let (one, other) = (
      try Tensor.normal([7, 5], from: generator), try Tensor.normal([4, 5], mean: 0.5, from: generator)
    )
    let (first, second) = (try one.doubles(), try other.doubles())
    var sum = 0.0
    for i in 0..<7 {
      for j in 0..<4 {
        let (a, b) = (first[i * 5..<i * 5 + 5], second[j * 5..<j * 5 + 5])
        func dot(_ x: ArraySlice<Double>, _ y: ArraySlice<Double>) -> Double {
          zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
        }
        sum += dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
      }
    }
    #expect(abs(try SentenceSimilarity.meanCosine(one, other) - sum / 28) < 1e-12)
  }

  @Test func `of six above the threshold the first five, as in the oracle`() throws {
    let names = ["a", "b", "c", "d", "e", "f", "g"]
    let chosen = try SentenceSimilarity().choose(names, scores: [0.50, 0.30, 0.20, 0.16, 0.155, 0.151, 0.10])
    #expect(chosen.names == ["a", "b", "c", "d", "e"] && !chosen.isFallback)
    #expect(chosen.weights == [Double](repeating: 0.2, count: 5))
    #expect(chosen.candidates.map(\.reason).suffix(2) == [.beyond(5), .below(0.15)])
  }

  @Test func `with none above the threshold, the first, as in the oracle`() throws {
    let chosen = try SentenceSimilarity().choose(["a", "b"], scores: [0.14, 0.10])
    #expect(chosen.names == ["a"] && chosen.isFallback)
    // The threshold itself does not qualify.
    #expect(try SentenceSimilarity().choose(["a", "b"], scores: [0.15, 0.10]).isFallback)
  }

  @Test func `weighted, each counts in proportion to its similarity`() throws {
    var rule = SentenceSimilarity()
    rule.isWeighted = true
    #expect(try rule.choose(["a", "b", "c"], scores: [0.2, 0.1, 0.6]).weights == [0.6 / 0.8, 0.2 / 0.8])
    #expect(try rule.choose(["a", "b"], scores: [-0.2, -0.1]).weights == [1])
    rule.threshold = -1
    #expect(try rule.choose(["a", "b"], scores: [0.5, -0.5]).weights == [1, 0])
  }

  @Test func `domains are ranked by their texts' directions, whatever their lengths`() throws {
    let novel = try Tensor([Float](arrayLiteral: 1, 0, 2, 0), shape: [2, 2])
    let domains = [
      ("across", try Tensor([Float](arrayLiteral: 0, 9), shape: [1, 2])),
      ("along", try Tensor([Float](arrayLiteral: 3, 4, 0.5, 0), shape: [2, 2])),
      ("away", try Tensor([Float](arrayLiteral: -1, 0), shape: [1, 2])),
    ]
    let chosen = try SentenceSimilarity().choose(domains.map { (name: $0.0, embeddings: $0.1) }, for: novel)
    #expect(chosen.candidates.map(\.name) == ["along", "across", "away"])
    #expect(abs(chosen.candidates[0].score - 0.8) < 1e-6)
    #expect(chosen.names == ["along"])
  }

  @Test func `embeddings of no texts, of other widths, with NaN are refused`() throws {
    let good = try Tensor.ones([2, 3])
    func choose(_ tensor: Tensor) throws { _ = try SentenceSimilarity().choose([("a", tensor)], for: good) }
    #expect(throws: ChoosingError.noTexts("a")) { try choose(.zeros([0, 3])) }
    #expect(throws: ChoosingError.widths("a", 4, expected: 3)) { try choose(.ones([2, 4])) }
    #expect(throws: ChoosingError.shape("a", [3])) { try choose(.ones([3])) }
    #expect(throws: ChoosingError.notFinite("An embedding of 'a'")) { try choose(.full(.nan, [2, 3])) }
  }
}
