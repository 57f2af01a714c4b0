import Formats
import Foundation
import Testing

@testable import Datasets

@Suite struct ResamplingTests {
  /// A picture that every size makes differently, for values taken from Pillow 12.0.0.
  private func pattern(width: Int, height: Int) throws -> RGBImage {
    var pixels: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width {
        for channel in 0..<3 { pixels.append(UInt8((x * 37 + y * 61 + channel * 85 + x * y * 3) % 256)) }
      }
    }
    return try RGBImage(width: width, height: height, pixels: pixels)
  }

  @Test(arguments: [
    ([23, 37, 16, 16], "0a4385528aded72fd200b6fe5da2c9b862100c26d307916c9411b38b03261e76"),
    ([134, 180, 112, 112], "df01f0c87d901b64bd65175bd0471945d7935d345221a802f653d7015b34bfc2"),
    ([300, 200, 112, 112], "676f02389d053cb93c2f2a64470c3d419913473801250759983f9c0a95c4821e"),
    ([40, 30, 112, 112], "d8f18de5de80ec8b5be372162cdec25ac820f0b0838932a7938c668581fdd0f4"),
    ([57, 19, 5, 33], "234ffaad0d5419cc3998d993532732f53fe317ce7e7ad5ac4788f6b33cbfb399"),
  ])
  func `resizing is PIL's to the byte`(sizes: [Int], digest: String) throws {
    let resized = try pattern(width: sizes[0], height: sizes[1]).resized(width: sizes[2], height: sizes[3])
    #expect(FileDigest.sha256(of: Data(resized.pixels)) == digest)
  }

  /// Pillow 13 sometimes takes the columns first, and its rounding between the passes then falls otherwise by one.
  private func expectClose(_ left: RGBImage, _ right: RGBImage, _ sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(left.width == right.width && left.height == right.height, sourceLocation: sourceLocation)
    let worst = zip(left.pixels, right.pixels).map { abs(Int($0) - Int($1)) }.max()
    #expect(worst ?? 255 <= 1, sourceLocation: sourceLocation)
  }

  @Test(arguments: ["shrink", "grow", "mixed", "far"]) func `resizing agrees with Pillow 13`(name: String) throws {
    let tensors = try Fixtures.tensors("transforms.safetensors")
    let input = try #require(tensors["resize.\(name).input"]).image()
    let expected = try #require(tensors["resize.\(name).pillow"]).image()
    try expectClose(input.resized(width: expected.width, height: expected.height), expected)
  }

  @Test func `a region is resized as if nothing were around it`() throws {
    let tensors = try Fixtures.tensors("transforms.safetensors")
    let input = try #require(tensors["resize.crop.input"]).image()
    let expected = try #require(tensors["resize.crop.pillow"]).image()
    let region = PixelRegion(left: 3, top: 5, width: 17, height: 21)
    let resized = try input.resized(width: 16, height: 16, region: region)
    expectClose(resized, expected)
    var cut: [UInt8] = []
    for y in 5..<26 { cut += input.pixels[(y * input.width + 3) * 3..<(y * input.width + 20) * 3] }
    #expect(try resized == RGBImage(width: 17, height: 21, pixels: cut).resized(width: 16, height: 16))
  }

  @Test func `halving averages with the triangle's weights`() throws {
    // At half size the triangle spans four pixels: 1, 3, 3, 1 eighths; at the edge only three remain, 3, 3, 1 sevenths.
    let row: [UInt8] = [10, 50, 90, 200]
    let image = try RGBImage(width: 4, height: 1, pixels: row.flatMap { [$0, $0, $0] })
    let half = try image.resized(width: 2, height: 1)
    #expect(half.pixels[0] == 39)  // (3 · 10 + 3 · 50 + 90) / 7 = 38.57
    #expect(half.pixels[3] == 131)  // (50 + 3 · 90 + 3 · 200) / 7 = 131.43
  }

  @Test func `the same size gives the same bytes`() throws {
    let image = try RGBImage(width: 3, height: 2, pixels: (0..<18).map { UInt8($0 * 13) })
    #expect(try image.resized(width: 3, height: 2) == image)
  }

  @Test func `a size without pixels is refused`() throws {
    let image = try RGBImage(width: 1, height: 1, pixels: [1, 2, 3])
    #expect(throws: RGBImageError.noPixels(width: 0, height: 5)) { try image.resized(width: 0, height: 5) }
  }

  @Test func `a region outside the image is cut to it`() throws {
    let image = try RGBImage(width: 3, height: 1, pixels: [1, 1, 1, 2, 2, 2, 3, 3, 3])
    let region = PixelRegion(left: 2, top: -5, width: .max, height: 100)
    #expect(try image.resized(width: 1, height: 1, region: region).pixels == [3, 3, 3])
  }
}
