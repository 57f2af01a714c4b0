import Adapters
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

@Suite struct AdapterVectorTests {
  /// The names and counts of what is a weight.
  private func weights(_ configuration: any AdapterConfiguration) throws -> [Int] {
    let backbone = try MixingBackbone(blocks: 1)
    let adapter = try Adapter(configuration, at: backbone.sites, of: backbone, generator: Generator(seed: 0))
    return AdapterLayout(adapter).entries.filter(\.isWeight).map(\.range.count)
  }

  @Test func `scales, prompts and tuned copies of the backbone's tensors are no weights`() throws {
    #expect(try weights(IA3()).isEmpty)
    #expect(try weights(PromptTuning(tokens: 3)).isEmpty)
    #expect(try weights(FullFineTuning()).isEmpty)
    #expect(try weights(SSF()).isEmpty)
  }

  @Test func `factors of rank 1 are weights, tensors that train beside them are none`() throws {
    // fc1: 1·6 and 10·1; fc2: 1·10 and 6·1.
    var lora = LoRA(rank: 1)
    #expect(try weights(lora) == [6, 10, 10, 6])
    lora.tunedTensors = ["blocks.0.mlp.fc1.weight"]
    #expect(try weights(lora) == [6, 10, 10, 6])
  }
}
