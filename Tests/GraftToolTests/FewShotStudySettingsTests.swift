import Foundation
import Graft
import Testing

@testable import GraftTool

@Suite struct FewShotStudySettingsTests {
  private let root = FileManager.default.temporaryDirectory.path

  private func parse(
    _ methods: String = "  - {name: PMF, method: pmf, rates: [0.01, 0.1], scales: [1, 0.5]}", network: String? = nil,
    more: String = ""
  ) throws -> FewShotStudySettings {
    let text = """
      data: \(root)
      training: [ours]
      unseen: [theirs]
      reference: PMF
      steps: 70
      experts: 3
      augmentation: none
      episodes: {ways: 4, shots: 1, queries: 2}
      methods:
      \(methods)
      networks:
      \(network ?? "  - {name: real, model: \(root), image_size: 28, steps: 7}")
      \(more)
      """
    var section = Section()
    try section.add(YAMLFile(text, name: "few-shot.yaml"), known: FewShotStudySettings.keys)
    return try FewShotStudySettings(section)
  }

  @Test func `a method's own settings go over the network's steps, and those over the file's`() throws {
    let settings = try parse(
      """
        - {name: PMF, method: pmf, rates: [0.01, 0.1], scales: [1, 0.5]}
        - {name: SMAT, method: smat, experts: 5, steps: 9, rates: [0.2]}
      """)
    let methods = settings.networks[0].methods
    #expect(methods.map(\.name) == ["PMF", "SMAT"])
    #expect(methods.map(\.configuration.method) == [.pmf, .smat])
    #expect(methods.map(\.configuration.steps) == [7, 9] && methods.map(\.configuration.experts) == [3, 5])
    #expect(methods[0].rates == [0.01, 0.1] && methods[0].scales == [1, 0.5] && methods[1].scales == [1])
    #expect(methods.allSatisfy { $0.configuration.imageSize == 28 && $0.configuration.augmentation == nil })
    #expect(methods[1].configuration.episodes == .fixed(ways: 4, shots: 1, queries: 2))
    #expect(settings.study.reference == "PMF" && settings.study.seeds == [0, 1, 2])
  }

  @Test func `a network of one's own says its shape and how it is pretrained`() throws {
    let settings = try parse(
      network: """
          - name: tiny
            image_size: 32
            network: {patch_size: 8, width: 32, depth: 3, heads: 2}
            pretraining: {datasets: [known], steps: 11, augmentation: none}
        """, more: "test_episodes: {ways: 3, shots: 2, queries: 1}\ntest_count: 12")
    guard case .pretraining(let pretraining) = settings.networks[0].source else {
      Issue.record("It is not a network of one's own.")
      return
    }
    #expect(
      pretraining.network
        == UntrainedVisionTransformer(imageSize: 32, patchSize: 8, width: 32, depth: 3, heads: 2, mlpRatio: 4))
    #expect(pretraining.datasets == ["known"] && pretraining.recipe.steps == 11 && pretraining.recipe.imageSize == 32)
    #expect(settings.networks[0].methods[0].configuration.steps == 70)
    #expect(settings.study.testEpisodes == .fixed(ways: 3, shots: 2, queries: 1) && settings.study.testCount == 12)
  }

  @Test(arguments: [
    ("  - {name: PMF, method: pmf, rates: []}", "'rates' must be learning rates above 0, as in [0.003, 0.01]."),
    ("  - {name: PMF, method: pmf, rates: [-1]}", "'rates' must be learning rates above 0, as in [0.003, 0.01]."),
    (
      "  - {name: PMF, method: pmf, rates: [1], scales: [0.5]}",
      "'scales' must be finite numbers with 1, what was trained, among them."
    ),
    ("  - {name: SMAT, method: smat, rates: [1], sparsity: 1}", "'sparsity' cannot be 1.0."),
    ("  - {name: PMF, method: pmf, rates: [1], delta_rate: 3}", "delta_rate"),
  ])
  func `what a method cannot be is refused with its place`(method: String, message: String) throws {
    let error = try #require(throws: (any Error).self) { try parse(method) }
    #expect("\(error)".contains(message) && "\(error)".contains("few-shot.yaml:"), "\(error)")
  }

  @Test func `a network has a model or a shape, and a shape that fits`() throws {
    let both = try #require(throws: (any Error).self) {
      try parse(
        network: "  - {name: x, image_size: 8, model: \(root), network: {patch_size: 8, width: 8, depth: 1, heads: 1}}")
    }
    #expect("\(both)".contains("either a 'model' or a 'network' of its own, not both."), "\(both)")
    let bad = try #require(throws: (any Error).self) {
      try parse(
        network: """
            - name: x
              image_size: 30
              network: {patch_size: 8, width: 8, depth: 1, heads: 1}
              pretraining: {datasets: [a]}
          """)
    }
    #expect("\(bad)".contains("'image_size' is 30, no multiple of 'patch_size', 8."), "\(bad)")
  }
}
