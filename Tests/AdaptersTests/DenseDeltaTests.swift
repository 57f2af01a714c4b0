import Tensors
import Testing

@testable import Adapters

@Suite struct DenseDeltaTests {
  @Test func `a dense change is its own matrix`() throws {
    let generator = try Generator(seed: 1)
    let value = try generator.normal(3, 4)
    let input = try generator.normal(5, 4)
    let weight = try generator.normal(3, 4)
    let delta = DenseDelta(value)
    #expect([delta.outFeatures, delta.inFeatures] == [3, 4])
    try expectClose(delta.apply(to: input), input.matmul(value.transposed()))
    #expect(try delta.materialized().isEqual(to: value))
    try expectClose(delta.merged(into: weight, scale: 0.5), weight + value * 0.5)
  }

  @Test func `merging rounds once to the weight's dtype`() throws {
    // 1 + 2⁻⁸ + 2⁻¹⁵ lies just above the middle between 1 and 1 + 2⁻⁷: two roundings would give 1.
    let delta = DenseDelta(try .full(0x1p-8 + 0x1p-15, [1, 1]))
    let merged = try delta.merged(into: Tensor.ones([1, 1], dtype: .bfloat16))
    #expect(merged.dtype == .bfloat16)
    #expect(try merged.item() == 1 + 0x1p-7)
  }
}
