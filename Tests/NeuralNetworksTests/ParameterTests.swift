import NeuralNetworks
import Tensors
import Testing

@Suite struct ParameterTests {
  @Test func `a parameter is a trainable copy`() throws {
    let source = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let parameter = try Parameter("lora_A", source)
    #expect(parameter.value.requiresGradient && parameter.value.isLeaf)
    #expect(!source.requiresGradient)
    #expect(!parameter.value.sharesStorage(with: source))
    #expect(parameter.count == 4)
    try source.fillInPlace(9)
    #expect(try parameter.value.floats() == [1, 2, 3, 4])
  }

  @Test func `a copy of something computed is a leaf of its own`() throws {
    let leaf = try Tensor([1, 2] as [Float]).requiringGradient()
    let parameter = try Parameter("scale", try leaf * 2)
    #expect(parameter.value.isLeaf)
    try parameter.value.sum().backward()
    #expect(try parameter.value.gradient()?.floats() == [1, 1])
    #expect(try leaf.gradient() == nil)
  }

  @Test func `weight decay spares vectors unless told otherwise`() throws {
    #expect(try Parameter("weight", .zeros([2, 3])).decays)
    #expect(try !Parameter("bias", .zeros([3])).decays)
    #expect(try !Parameter("scale", Tensor(1.0)).decays)
    #expect(try Parameter("bias", .zeros([3]), decays: true).decays)
    #expect(try !Parameter("weight", .zeros([2, 3]), decays: false).decays)
  }

  @Test func `loading takes over values in place, and converts their dtype`() throws {
    let parameter = try Parameter("lora_B", .zeros([2]))
    let alias = parameter.value
    try parameter.load(try Tensor([0.5, -4.0]))
    #expect(try alias.floats() == [0.5, -4])
    #expect(parameter.value.dtype == .float32)
    #expect(parameter.value.requiresGradient && parameter.value.isLeaf)
    try parameter.load(try Tensor([3, -1] as [Int64]))
    #expect(try alias.floats() == [3, -1])
  }

  @Test func `another shape is refused, even where it would broadcast`() throws {
    let parameter = try Parameter("blocks.0.attn.qkv.lora_A", try Tensor([1, 2] as [Float], shape: [1, 2]))
    let error = try thrown(ParameterError.self) { try parameter.load(try Tensor([7] as [Float], shape: [1, 1])) }
    #expect(error == .shape("blocks.0.attn.qkv.lora_A", expected: [1, 2], found: [1, 1]))
    #expect(
      error.description == """
        'blocks.0.attn.qkv.lora_A' has shape [1, 1] in the file and [1, 2] here. Load it into the model it was saved from.
        """)
    #expect(throws: ParameterError.shape("blocks.0.attn.qkv.lora_A", expected: [1, 2], found: [2])) {
      try parameter.load(try Tensor([7, 8] as [Float]))
    }
    #expect(try parameter.value.floats() == [1, 2])
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func `a value that is no finite number is refused and changes nothing`(_ value: Float) throws {
    let parameter = try Parameter("scale", try Tensor([1, 2] as [Float]))
    let error = try thrown(ParameterError.self) { try parameter.load(try Tensor([5, value])) }
    #expect(error == .notFinite("scale"))
    #expect(error.description.contains("'scale' holds NaN or infinity"))
    #expect(try parameter.value.floats() == [1, 2])
  }

  @Test func `a number that only overflows in the parameter's dtype is refused too`() throws {
    let parameter = try Parameter("scale", try Tensor([1] as [Float]))
    #expect(throws: ParameterError.notFinite("scale")) { try parameter.load(try Tensor([1e300])) }
    #expect(try parameter.value.floats() == [1])
  }
}
