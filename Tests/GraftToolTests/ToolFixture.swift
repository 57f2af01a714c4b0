import Formats
import Foundation
import Reports

/// The built tool with a tiny network and tiny images, in a temporary folder of its own.
final class ToolFixture {
  let root: URL
  var model: URL { root.appendingPathComponent("model") }
  var data: URL { root.appendingPathComponent("data") }
  var output: URL { root.appendingPathComponent("output") }

  /// - Parameter images: of each class in each domain.
  init(images: Int = 5) throws {
    root = FileManager.default.temporaryDirectory.appendingPathComponent("graft-tool-\(UUID().uuidString)")
    try TinyVisionTransformer.write(to: root.appendingPathComponent("model"))
    for domain in ["ink", "paint", "photo"] {
      for (label, name) in ["blue", "red"].enumerated() {
        for index in 0..<images { try writeImage("\(domain)/\(name)/\(index).png", label: label, seed: index) }
      }
    }
  }

  deinit { try? FileManager.default.removeItem(at: root) }

  /// A picture of one colour with noise, which the classes differ by.
  func writeImage(_ path: String, label: Int, seed: Int, side: Int = 16) throws {
    var state = UInt32(truncatingIfNeeded: 7 + 31 * seed + 977 * label)
    var pixels: [UInt8] = []
    for _ in 0..<side * side {
      for channel in 0..<3 {
        state = state &* 1_664_525 &+ 1_013_904_223
        pixels.append(UInt8(state >> 26) + (channel == (label == 0 ? 2 : 0) ? 180 : 20))
      }
    }
    try write(try PixelImage(width: side, height: side, pixels: pixels).png, to: "data/\(path)")
  }

  func write(_ bytes: Data, to path: String) throws {
    let url = root.appendingPathComponent(path)
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try bytes.write(to: url)
  }

  @discardableResult
  func write(_ text: String, to path: String) throws -> URL {
    try write(Data(text.utf8), to: path)
    return root.appendingPathComponent(path)
  }

  /// The flags of a small run of a method.
  func training(_ method: String = "lora", steps: Int = 4, _ more: String...) -> [String] {
    [
      "train", "--model", model.path, "--data", data.path, "--method", method, "--steps", "\(steps)", "--batch-size",
      "2",
      "--image-size", "16", "--learning-rate", "0.01", "--leave-out", "photo", "--output", output.path,
    ] + more
  }

  // MARK: Running

  struct Finished {
    let status: Int32
    let output: String
    let errors: String
  }

  /// Runs the tool to its end.
  func run(_ arguments: [String]) throws -> Finished {
    let running = try start(arguments)
    return running.wait()
  }

  func run(_ arguments: String...) throws -> Finished { try run(arguments) }

  func start(_ arguments: [String]) throws -> Running { try Running(arguments, root: root) }

  final class Running {
    let process = Process()
    private let outputFile: URL
    private let errorFile: URL

    init(_ arguments: [String], root: URL) throws {
      // Files rather than pipes: a full pipe would stop the tool.
      outputFile = root.appendingPathComponent("out-\(UUID().uuidString)")
      errorFile = root.appendingPathComponent("err-\(UUID().uuidString)")
      for file in [outputFile, errorFile] { try Data().write(to: file) }
      process.executableURL = Self.tool
      process.arguments = arguments
      process.currentDirectoryURL = root
      var environment = ProcessInfo.processInfo.environment
      environment["GRAFT_CACHE"] = root.appendingPathComponent("cache").path
      environment["NO_COLOR"] = "1"
      process.environment = environment
      process.standardOutput = try FileHandle(forWritingTo: outputFile)
      process.standardError = try FileHandle(forWritingTo: errorFile)
      process.standardInput = FileHandle.nullDevice
      try process.run()
    }

    /// Beside the test program, where SwiftPM puts all it builds.
    private static var tool: URL {
      let program = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
      let folders =
        [Bundle.main.bundleURL, program.deletingLastPathComponent()]
        + Bundle.allBundles.map { $0.bundleURL.deletingLastPathComponent() }
      let found = folders.map { $0.appendingPathComponent("graft") }
        .first { FileManager.default.isExecutableFile(atPath: $0.path) }
      return found ?? folders[0].appendingPathComponent("graft")
    }

    var errors: String { (try? String(contentsOf: errorFile, encoding: .utf8)) ?? "" }

    func wait() -> Finished {
      process.waitUntilExit()
      let output = (try? String(contentsOf: outputFile, encoding: .utf8)) ?? ""
      return Finished(status: process.terminationStatus, output: output, errors: errors)
    }

    /// Waits until `condition` holds or the tool has ended; false after a minute.
    func wait(until condition: () -> Bool) -> Bool {
      for _ in 0..<1_200 {
        if condition() { return true }
        guard process.isRunning else { return false }
        usleep(50_000)
      }
      return false
    }
  }

  /// The records of a results file without what depends on the clock, the machine's load and the folder.
  func records(_ path: String) throws -> [JSONValue] {
    let text = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    var limits = JSONLimits()
    limits.allowsNonFiniteNumbers = true
    return try text.split(separator: "\n").map { line in
      var record = try JSONValue(parsing: String(line), limits: limits).object ?? JSONObject()
      for key in ["step_time", "mem_gb"] { record[key] = nil }
      // What was not measured: not-a-number, which equals nothing.
      for (key, value) in record.members where value.double?.isNaN == true { record[key] = "NaN" }
      return .object(record)
    }
  }
}

/// A vision transformer of timm's layout with random weights: two blocks of width 32, patches of 8 pixels.
enum TinyVisionTransformer {
  static let width = 32

  static func write(to folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var state: UInt64 = 1
    func values(_ count: Int, scale: Float, offset: Float) -> Data {
      var data = Data()
      for _ in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let uniform = Float(state >> 40) / Float(1 << 24) - 0.5
        withUnsafeBytes(of: (offset + scale * uniform).bitPattern.littleEndian) { data.append(contentsOf: $0) }
      }
      return data
    }
    var writer = SafetensorsWriter()
    func add(_ name: String, _ shape: [Int], scale: Float = 0.5, offset: Float = 0) throws {
      try writer.add(
        name, .float32, shape: shape, values(shape.reduce(1, *), scale: scale, offset: offset))
    }
    try add("cls_token", [1, 1, width])
    try add("pos_embed", [1, 5, width])
    try add("patch_embed.proj.weight", [width, 3, 8, 8])
    try add("patch_embed.proj.bias", [width])
    for block in 0..<2 {
      for norm in ["norm1", "norm2"] {
        try add("blocks.\(block).\(norm).weight", [width], scale: 0, offset: 1)
        try add("blocks.\(block).\(norm).bias", [width], scale: 0)
      }
      for (name, shape) in [
        ("attn.qkv", [3 * width, width]), ("attn.proj", [width, width]), ("mlp.fc1", [64, width]),
        ("mlp.fc2", [width, 64]),
      ] {
        try add("blocks.\(block).\(name).weight", shape)
        try add("blocks.\(block).\(name).bias", [shape[0]])
      }
    }
    try add("norm.weight", [width], scale: 0, offset: 1)
    try add("norm.bias", [width], scale: 0)
    try writer.write(to: folder.appendingPathComponent("model.safetensors"))
  }
}
