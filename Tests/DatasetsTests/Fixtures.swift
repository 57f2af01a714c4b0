import Foundation
import Testing

@testable import Datasets

/// The files in `Fixtures/`, and tensors in the safetensors files there.
enum Fixtures {
  static let folder = Bundle.module.bundleURL.appending(path: "Fixtures")

  static func path(_ name: String) -> String { folder.appending(path: name).path }

  static func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: folder.appending(path: name))) }

  static func json<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: Data(contentsOf: folder.appending(path: name)))
  }

  struct Tensor {
    var shape: [Int]
    var bytes: [UInt8]

    var floats: [Float] { bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }

    /// The image in a `[3, height, width]` tensor of bytes.
    func image() throws -> RGBImage {
      try #require(shape.count == 3 && shape[0] == 3)
      let count = shape[1] * shape[2]
      let pixels = (0..<count * 3).map { bytes[$0 % 3 * count + $0 / 3] }
      return try RGBImage(width: shape[2], height: shape[1], pixels: pixels)
    }
  }

  static func tensors(_ name: String) throws -> [String: Tensor] {
    let file = try Data(contentsOf: folder.appending(path: name))
    let length = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let header = try JSONSerialization.jsonObject(with: file[8..<8 + length]) as? [String: [String: Any]]
    return try #require(header).compactMapValues { entry in
      guard let shape = entry["shape"] as? [Int], let range = entry["data_offsets"] as? [Int] else { return nil }
      return Tensor(shape: shape, bytes: [UInt8](file[(8 + length + range[0])..<(8 + length + range[1])]))
    }
  }
}

/// A folder that goes away with the test.
final class TemporaryFolder {
  let url = FileManager.default.temporaryDirectory.appending(path: "graft-datasets-\(UUID().uuidString)")

  init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(at: url) }

  @discardableResult func write(_ bytes: [UInt8], _ path: String) throws -> String {
    let file = url.appending(path: path)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: file)
    return file.path
  }

  func makeFolder(_ path: String) throws {
    try FileManager.default.createDirectory(at: url.appending(path: path), withIntermediateDirectories: true)
  }
}
