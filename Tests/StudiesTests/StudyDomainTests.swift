import Tensors
import Testing
import Training

@testable import Studies

@Suite struct StudyDomainTests {
  private func makeExamples(domains: [String] = ["news"]) throws -> TensorExamples {
    try TensorExamples(
      inputs: .zeros([10, 2]), labels: [0, 0, 0, 0, 0, 0, 1, 1, 1, 1], classes: ["a", "b"], domains: domains,
      counts: domains.count == 1 ? [10] : [4, 6])
  }

  @Test func `a draw keeps the classes in their proportions, and is the seed's`() {
    let labels = [Int](repeating: 0, count: 60) + [Int](repeating: 1, count: 30) + [2]
    let drawn = StudyDomain.draw(9, of: Array(labels.indices), labels: labels, seed: 4)
    #expect(drawn.count == 9 && drawn == drawn.sorted())
    #expect(drawn.count { labels[$0] == 0 } == 6 && drawn.count { labels[$0] == 1 } == 3)
    #expect(drawn == StudyDomain.draw(9, of: Array(labels.indices), labels: labels, seed: 4))
    #expect(drawn != StudyDomain.draw(9, of: Array(labels.indices), labels: labels, seed: 5))
    #expect(StudyDomain.draw(200, of: [3, 1], labels: labels, seed: 0) == [3, 1])
  }

  @Test func `what is divided badly is refused`() throws {
    let examples = try makeExamples()
    #expect(throws: StudyError.overlap(domain: "news")) {
      try StudyDomain("news", examples, training: [0, 1], test: [1])
    }
    #expect(throws: StudyError.empty(domain: "news", part: "test")) {
      try StudyDomain("news", examples, training: [0, 1], test: [])
    }
    #expect(throws: StudyError.unknownExample(domain: "news", index: 10)) {
      try StudyDomain("news", examples, training: [0, 10], test: [2])
    }
    #expect(throws: StudyError.manyDomains(domain: "news", ["news", "mail"])) {
      try StudyDomain("news", makeExamples(domains: ["news", "mail"]), training: [0], test: [2])
    }
  }

  @Test func `another division is another domain`() throws {
    let examples = try makeExamples()
    let first = try StudyDomain("news", examples, training: [0, 6], test: [1])
    #expect(try first.fingerprint == StudyDomain("news", examples, training: [0, 6], test: [1]).fingerprint)
    #expect(try first.fingerprint != StudyDomain("news", examples, training: [0, 6], test: [2]).fingerprint)
  }
}
