import Adapters
import Testing

@Suite struct ConsolidatorRecipeTests {
  @Test func `the published choices`() throws {
    let all = ConsolidatorRecipe.vtab
    #expect(all.count == 38 && Set(all.map(\.task)).count == 19)
    func recipe(_ task: String, _ backbone: ConsolidatorRecipe.Pretraining) throws -> [Double] {
      let found = try #require(all.first { $0.task == task && $0.backbone == backbone })
      return [found.learningRate, found.weightDecay, found.dropPath]
    }
    #expect(try recipe("CIFAR-100", .imageNet21k) == [1e-3, 0, 0.8])
    #expect(try recipe("sNORB-Ele", .imageNet21k) == [5e-4, 0.1, 0.2])
    #expect(try recipe("KITTI-Dist", .mocoV3) == [1e-3, 1e-4, 0.5])
    #expect(all[0].configuration == Consolidator(groups: [384], dropPath: 0.8))
  }

  @Test func `the search space that the choices come from`() {
    let all = ConsolidatorRecipe.vtab
    #expect(Set(all.map(\.learningRate)) == [5e-4, 1e-3, 2e-3, 5e-3, 1e-2])
    #expect(Set(all.map(\.weightDecay)) == [0, 1e-4, 1e-3, 1e-2, 1e-1])
    #expect(Set(all.map(\.dropPath)) == [0, 0.2, 0.5, 0.8])
    let classes = all.filter { $0.backbone == .mocoV3 }.map(\.classes)
    #expect(classes.reduce(0, +) == 940)
  }
}
