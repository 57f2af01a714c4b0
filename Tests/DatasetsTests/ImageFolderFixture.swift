import Foundation

@testable import Datasets

/// Two domains of two classes, made of the sample files: four good images each.
enum ImageFolderFixture {
  static let files = [
    "photo/cat/1.jpg": "jpeg-baseline.jpg", "photo/cat/2.jpg": "jpeg-exif-6.jpg", "photo/dog/3.png": "png-rgba.png",
    "photo/dog/4.webp": "webp-lossy.webp", "sketch/cat/5.png": "png-grey-1bit.png", "sketch/cat/6.jpg": "jpeg-cmyk.jpg",
    "sketch/dog/7.png": "png-interlaced.png", "sketch/dog/8.webp": "webp-animated.webp",
  ]

  static func make(adding others: [String: String] = [:]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for (path, name) in files.merging(others, uniquingKeysWith: { $1 }) {
      try folder.write(Fixtures.bytes("images/\(name)"), path)
    }
    return folder
  }

  static let bad = [
    "photo/cat/0-bomb.png": "bad-png-bomb.png", "sketch/dog/9-cut.jpg": "bad-jpeg-truncated.jpg",
    "sketch/dog/9-damaged.jpg": "bad-jpeg-damaged-scan.jpg",
  ]
}
