import NeuralNetworks
import Tensors
import Testing

@Suite struct ForwardPassTests {
  @Test func `a pass evaluates unless it is given a generator to train with`() throws {
    let evaluation = ForwardPass()
    #expect(!evaluation.isTraining)
    #expect(evaluation.generator == nil)
    let generator = try Generator(seed: 5)
    let training = ForwardPass(.training(generator))
    #expect(training.isTraining)
    #expect(training.generator === generator)
  }

  @Test func `auxiliary losses are kept in the order in which they came`() throws {
    let pass = ForwardPass()
    #expect(pass.auxiliaryLosses.isEmpty)
    pass.add(auxiliaryLoss: try Tensor(0.25))
    pass.add(auxiliaryLoss: try Tensor(-3.0))
    #expect(try pass.auxiliaryLosses.map { try $0.item() } == [0.25, -3])
  }

  @Test func `what a router decided reaches whoever listens, and its errors reach the router`() throws {
    struct Refused: Error {}
    let site = Site(name: "blocks.0.attn.qkv", block: 0, role: .qkv, inFeatures: 4, outFeatures: 12)
    let gates = try Tensor([0, 0.75], shape: [1, 1, 2])
    let probabilities = try Tensor([0.25, 0.75], shape: [1, 1, 2])
    let routing = ForwardPass.Routing(site: site, gates: gates, probabilities: probabilities)
    let pass = ForwardPass()
    var heard: [ForwardPass.Routing] = []
    pass.onRouting = { heard.append($0) }
    try pass.onRouting?(routing)
    #expect(heard.map(\.site) == [site])
    #expect(try heard.first?.gates.doubles() == [0, 0.75])
    #expect(try heard.first?.probabilities.doubles() == [0.25, 0.75])
    pass.onRouting = { _ in throw Refused() }
    #expect(throws: Refused.self) { try pass.onRouting?(routing) }
  }

  @Test func `a frozen backbone adds no loss and draws no number`() throws {
    let generator = try Generator(seed: 9)
    let before = try generator.state()
    let pass = ForwardPass(.training(generator))
    let model = try Fixture.model("timm-vit")
    let trained = try model.features(try Fixture.input("timm-vit"), adaptation: Frozen(), pass: pass)
    #expect(try trained.isEqual(to: model.features(Fixture.input("timm-vit"))))
    #expect(pass.auxiliaryLosses.isEmpty)
    #expect(try generator.state() == before)
  }
}
