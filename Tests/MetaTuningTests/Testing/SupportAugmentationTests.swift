import Datasets
import Tensors
import Testing

@testable import MetaTuning

@Suite struct SupportAugmentationTests {
  @Test func `one colour stays one colour, shifted by half at most and moved by an eighth`() throws {
    let images = try Tensor.full(0.25, [6, 3, 16, 16])
    var generator = Xoshiro256(seed: 1)
    var distinct: Set<Float> = []
    var empty = 0
    for _ in 0..<20 {
      let result = try SupportAugmentation(probability: 1)(images, using: &generator)
      #expect(result.shape == images.shape)
      for image in 0..<6 {
        let values = try result.select(0, image).floats()
        // Saturation and contrast leave a single colour, so that there is one value beside the zeros that moving brings in.
        let inner = Set(values.filter { $0 != 0 }.map { ($0 * 1e4).rounded() / 1e4 })
        #expect(inner.count == 1)
        let shift = try #require(inner.first) - 0.25
        #expect(abs(shift) <= 0.5001)
        distinct.insert(shift)
        let zeros = values.count { $0 == 0 } / 3
        // At most 2 of 16 rows and 2 of 16 columns.
        #expect(zeros <= 256 - 14 * 14)
        empty += zeros > 0 ? 1 : 0
      }
    }
    // Each image by itself.
    #expect(distinct.count > 100 && empty > 80)
  }

  @Test func `images are mirrored together, or never`() throws {
    let ramp = try Tensor((0..<8).map { Float($0) }).expanded([4, 3, 8, 8])
    func slopes(_ augmentation: SupportAugmentation, seed: UInt64) throws -> [Bool] {
      var generator = Xoshiro256(seed: seed)
      let result = try augmentation(ramp, using: &generator)
      return try (0..<4).map { image in
        let row = try result.select(0, image).select(0, 0).select(0, 4).floats()
        return row[5] > row[3]
      }
    }
    var outcomes: Set<[Bool]> = []
    for seed in 0..<20 {
      outcomes.insert(try slopes(SupportAugmentation(probability: 1), seed: UInt64(seed)))
      #expect(
        try slopes(SupportAugmentation(probability: 1, flips: false), seed: UInt64(seed)) == [true, true, true, true])
    }
    #expect(outcomes == [[true, true, true, true], [false, false, false, false]])
  }

  @Test func `what is left out by the probability, or is no image, stays`() throws {
    var generator = Xoshiro256(seed: 2)
    let images = try Tensor.normal([2, 3, 8, 8], from: Generator(seed: 1))
    #expect(try SupportAugmentation(probability: 0)(images, using: &generator).isEqual(to: images))
    let texts = try Tensor([Int64](repeating: 5, count: 24), shape: [2, 3, 4])
    #expect(try SupportAugmentation(probability: 1)(texts, using: &generator).isEqual(to: texts))
  }
}
