import Foundation
import Testing

@testable import Datasets

@Suite struct TrainingTransformTests {
  private func transform(_ change: (inout TrainingTransform.Settings) -> Void = { _ in }) throws -> TrainingTransform {
    var settings = TrainingTransform.Settings()
    change(&settings)
    return try TrainingTransform(size: 16, normalization: .clip, settings: settings)
  }

  private func draws(_ count: Int, width: Int, height: Int, _ transform: TrainingTransform) -> [Augmentation] {
    (0..<count).map {
      var generator = Xoshiro256(seed: 3, stream: UInt64($0))
      return transform.draw(width: width, height: height, using: &generator)
    }
  }

  @Test func `crops keep to the area, the aspect and the image, and use their whole range`() throws {
    let crops = try draws(2_000, width: 200, height: 160, transform()).map(\.crop)
    for crop in crops {
      #expect(crop == crop.clamped(toWidth: 200, height: 160))
      #expect((0.69...1.0).contains(Double(crop.width * crop.height) / 32_000))
      #expect((0.74...1.35).contains(Double(crop.width) / Double(crop.height)))
    }
    let areas = crops.map { Double($0.width * $0.height) / 32_000 }
    #expect(try #require(areas.min()) < 0.72)
    #expect(try #require(areas.max()) > 0.93)
    #expect(Set(crops.map(\.left)).count > 20 && Set(crops.map(\.top)).count > 10)
  }

  @Test func `an image of no allowed aspect is cropped in the middle`() throws {
    // Ten tries find no crop of 70 % of a strip, so the widest allowed part is taken: 4/3 of the height.
    let wide = try draws(50, width: 300, height: 30, transform()).map(\.crop)
    #expect(Set(wide) == [PixelRegion(left: 130, top: 0, width: 40, height: 30)])
    let tall = try draws(50, width: 30, height: 300, transform()).map(\.crop)
    #expect(Set(tall) == [PixelRegion(left: 0, top: 130, width: 30, height: 40)])
    let pixel = try draws(50, width: 1, height: 1, transform()).map(\.crop)
    #expect(Set(pixel) == [PixelRegion(left: 0, top: 0, width: 1, height: 1)])
  }

  @Test func `flips, greys and orders come as often as they should`() throws {
    let all = try draws(4_000, width: 40, height: 40, transform())
    #expect(abs(all.count(where: \.flips) - 2_000) < 130)  // four standard deviations
    #expect(abs(all.count(where: \.isGrayscale) - 400) < 80)
    let orders = Dictionary(grouping: all) { augmentation in
      augmentation.adjustments.map { adjustment in
        switch adjustment {
        case .brightness: "b"
        case .contrast: "c"
        case .saturation: "s"
        case .hue: "h"
        }
      }.joined()
    }
    #expect(orders.count == 24)
    #expect(orders.values.allSatisfy { (110...225).contains($0.count) })
  }

  @Test func `factors fill their ranges and stay within them`() throws {
    var factors: [Double] = []
    var hues: [Double] = []
    for augmentation in try draws(1_000, width: 40, height: 40, transform()) {
      for adjustment in augmentation.adjustments {
        switch adjustment {
        case .brightness(let value), .contrast(let value), .saturation(let value): factors.append(value)
        case .hue(let value): hues.append(value)
        }
      }
    }
    #expect(factors.allSatisfy((0.7...1.3).contains) && hues.allSatisfy((-0.3...0.3).contains))
    #expect(try #require(factors.min()) < 0.71 && factors.max()! > 1.29)
    #expect(try #require(hues.min()) < -0.29 && hues.max()! > 0.29)
  }

  @Test func `an augmentation is its parts in order`() throws {
    let tensors = try Fixtures.tensors("transforms.safetensors")
    let image = try #require(tensors["resize.shrink.input"]).image()
    let augmentation = Augmentation(
      crop: PixelRegion(left: 2, top: 3, width: 16, height: 16), flips: true,
      adjustments: [.hue(0.2), .contrast(1.3)], isGrayscale: false)
    var expected = try image.resized(width: 16, height: 16, region: augmentation.crop).pixels
    var square = [UInt8](repeating: 0, count: 768)
    expected.withUnsafeMutableBufferPointer {
      ColorOperations.flipHorizontally($0, width: 16)
      ColorOperations.adjustHue($0, by: 0.2)
      ColorOperations.adjustContrast($0, by: 1.3)
    }
    square.withUnsafeMutableBufferPointer { augmentation.apply(to: image, size: 16, into: $0) }
    #expect(square == expected)
  }

  @Test func `the same generator gives the same input, another gives another`() throws {
    let image = try #require(try Fixtures.tensors("transforms.safetensors")["resize.shrink.input"]).image()
    func input(_ stream: UInt64) throws -> [Float] {
      var generator = Xoshiro256(seed: 9, stream: stream)
      return try transform()(image, using: &generator)
    }
    #expect(try input(4) == input(4))
    #expect(try input(4) != input(5))
  }

  @Test func `a setting out of its range is refused by name`() {
    #expect(throws: ImageTransformError.setting("hue", value: 0.7, allowed: "0.0 to 0.5")) {
      try transform { $0.hue = 0.7 }
    }
    #expect(throws: ImageTransformError.self) { try transform { $0.area = 0.5...1.5 } }
    #expect(throws: ImageTransformError.self) { try transform { $0.brightness = .nan } }
    #expect(throws: ImageTransformError.self) { try transform { $0.aspect = 0...1 } }
    #expect(throws: ImageTransformError.size(0)) { try TrainingTransform(size: 0, normalization: .clip) }
  }
}
