import Testing

@testable import Datasets

@Suite struct OrientationTests {
  /// Two rows of three pixels: 1 2 3 above 4 5 6.
  private func picture() throws -> RGBImage {
    try RGBImage(width: 3, height: 2, pixels: (1...6).flatMap { [$0, $0, $0] })
  }

  private func rows(_ image: RGBImage) -> [[UInt8]] {
    (0..<image.height).map { y in (0..<image.width).map { image.pixels[(y * image.width + $0) * 3] } }
  }

  @Test(
    arguments: [
      (1, [[1, 2, 3], [4, 5, 6]]), (2, [[3, 2, 1], [6, 5, 4]]), (3, [[6, 5, 4], [3, 2, 1]]),
      (4, [[4, 5, 6], [1, 2, 3]]),
      (5, [[1, 4], [2, 5], [3, 6]]), (6, [[4, 1], [5, 2], [6, 3]]), (7, [[6, 3], [5, 2], [4, 1]]),
      (8, [[3, 6], [2, 5], [1, 4]]),
    ] as [(Int, [[UInt8]])])
  func `each orientation turns as EXIF says`(value: Int, expected: [[UInt8]]) throws {
    let orientation = try #require(Orientation(rawValue: value))
    #expect(try rows(picture().upright(from: orientation)) == expected)
    #expect(orientation.swapsSides == (value > 4))
  }
}
