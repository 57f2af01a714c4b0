import Testing

@testable import Datasets

@Suite struct ColorOperationsTests {
  /// Applies `change` to the fixture's image and compares with what PIL made of it, to the byte.
  private func expect(_ name: String, _ change: (ColorOperations.Pixels, Int) -> Void) throws {
    let tensors = try Fixtures.tensors("transforms.safetensors")
    let input = try #require(tensors["colour.input"]).image()
    let expected = try #require(tensors["\(name).pillow"]).image()
    var pixels = input.pixels
    pixels.withUnsafeMutableBufferPointer { change($0, input.width) }
    let wrong = zip(pixels, expected.pixels).enumerated().filter { $1.0 != $1.1 }
    #expect(wrong.isEmpty, "\(name): \(wrong.count) bytes differ, first \(String(describing: wrong.first))")
    #expect(name.contains("hue.0.0") || pixels != input.pixels, "\(name) should change the image")
  }

  @Test(arguments: ["0.0", "0.7", "1.3"]) func `brightness is torchvision's`(factor: String) throws {
    try expect("brightness.\(factor)") { pixels, _ in ColorOperations.adjustBrightness(pixels, by: Float(factor)!) }
  }

  @Test(arguments: ["0.0", "0.7", "1.3"]) func `contrast is torchvision's`(factor: String) throws {
    try expect("contrast.\(factor)") { pixels, _ in ColorOperations.adjustContrast(pixels, by: Float(factor)!) }
  }

  @Test(arguments: ["0.0", "0.7", "1.3"]) func `saturation is torchvision's`(factor: String) throws {
    try expect("saturation.\(factor)") { pixels, _ in ColorOperations.adjustSaturation(pixels, by: Float(factor)!) }
  }

  @Test(arguments: ["-0.3", "0.05", "0.3"]) func `hue is torchvision's`(turns: String) throws {
    try expect("hue.\(turns)") { pixels, _ in ColorOperations.adjustHue(pixels, by: Double(turns)!) }
  }

  @Test func `grey is torchvision's`() throws {
    try expect("grayscale") { pixels, _ in ColorOperations.makeGrayscale(pixels) }
  }

  @Test func `a flip is torchvision's`() throws {
    try expect("flip") { pixels, width in ColorOperations.flipHorizontally(pixels, width: width) }
  }

  @Test func `adjustments in a given order are torchvision's`() throws {
    try expect("jitter") { pixels, _ in
      // The order of transforms.json.
      for adjustment: Augmentation.Adjustment in [.saturation(1.2), .brightness(0.8), .hue(-0.17), .contrast(1.25)] {
        adjustment.apply(to: pixels)
      }
    }
  }
}
