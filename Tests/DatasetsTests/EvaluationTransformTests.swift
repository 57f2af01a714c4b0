import Testing

@testable import Datasets

@Suite struct EvaluationTransformTests {
  @Test func `the whole image is squeezed to the square and normalized`() throws {
    let input = try #require(try Fixtures.tensors("transforms.safetensors")["resize.mixed.input"]).image()  // 40 × 9
    let transform = try EvaluationTransform(size: 12, normalization: .imageNet)
    var generator = Xoshiro256(seed: 1)
    let out = transform(input, using: &generator)
    let square = try input.resized(width: 12, height: 12)
    #expect(out.count == 3 * 144)
    for index in [0, 17, 143] {
      let (red, blue) = (square.pixels[index * 3], square.pixels[index * 3 + 2])
      #expect(out[index] == (Float(red) / 255 - 0.485) / 0.229)
      #expect(out[288 + index] == (Float(blue) / 255 - 0.406) / 0.225)
    }
    #expect(generator == Xoshiro256(seed: 1), "nothing is drawn")
  }

  @Test(arguments: [0, -4, 8193]) func `a size out of range is refused`(size: Int) {
    #expect(throws: ImageTransformError.size(size)) { try EvaluationTransform(size: size, normalization: .clip) }
  }
}
