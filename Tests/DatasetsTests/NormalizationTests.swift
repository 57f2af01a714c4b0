import Testing

@testable import Datasets

@Suite struct NormalizationTests {
  @Test(arguments: [("clip", Normalization.clip), ("imagenet", .imageNet)])
  func `normalizing is torchvision's, in channel planes`(name: String, normalization: Normalization) throws {
    let tensors = try Fixtures.tensors("transforms.safetensors")
    let image = try #require(tensors["colour.input"]).image()
    let expected = try #require(tensors["normalize.\(name).float"]).floats
    let count = image.width * image.height
    var out = [Float](repeating: 0, count: 3 * count)
    out.withUnsafeMutableBufferPointer { out in
      image.pixels.withUnsafeBufferPointer { normalization.write($0, count: count, to: out.baseAddress!) }
    }
    let worst = zip(out, expected).map { abs($0 - $1) }.max()
    #expect(try #require(worst) < 1e-6)
  }

  @Test func `statistics that would divide by zero or spread NaN are refused`() {
    #expect(throws: NormalizationError.self) { try Normalization(mean: [0, 0, 0], std: [1, 0, 1]) }
    #expect(throws: NormalizationError.self) { try Normalization(mean: [0, .nan, 0], std: [1, 1, 1]) }
    #expect(throws: NormalizationError.self) { try Normalization(mean: [0, 0], std: [1, 1, 1]) }
    #expect(throws: Never.self) { try Normalization(mean: [0, 0, 0], std: [1, 1, 1]) }
  }
}
