import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Adapters

@Suite final class SparseTensorsTests {
  let folder = FileManager.default.temporaryDirectory.appending(path: "sparse-\(UUID().uuidString)")
  let backbone: TinyBackbone

  init() throws { backbone = try TinyBackbone() }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// An adapter of which every n-th number of a matrix is kept.
  private func pruned(_ every: Int, rank: Int = 12) throws -> AdaptedModel {
    let model = try backbone.adapted(by: LoRA(rank: rank), at: .qkv)
    try model.adapter.perturb()
    for parameter in model.adapter.parameters {
      let values = try parameter.value.floats().enumerated().map { $0 % every == 1 ? $1 : 0 }
      try parameter.load(Tensor(values, shape: parameter.value.shape))
    }
    return model
  }

  private func bits(_ tensor: Tensor) throws -> [UInt8] { try tensor.withBytes(Array.init) }

  // MARK: The encoding

  @Test func `a tensor becomes its values and a bit for each number, the lowest first`() throws {
    var values = [Float](repeating: 0, count: 130)
    for (place, value) in [(1, 1.5), (9, -2), (15, -0.0), (128, 3)] as [(Int, Float)] { values[place] = value }
    // Two of these are so few that places are smaller than bits; sixty-five are not.
    for place in 64..<124 { values[place] = 7 }
    var sparse = SparseTensors()
    let parts = try sparse.encoded([("x", Tensor(values, shape: [10, 13]))])
    #expect(sparse.shapes == ["x": [10, 13]])
    #expect(parts.map(\.name) == ["x.sparse_values", "x.sparse_mask"])
    let expected: [Float] = [1.5, -2, -0.0] + [Float](repeating: 7, count: 60) + [3]
    #expect(try parts[0].tensor.floats().map(\.bitPattern) == expected.map(\.bitPattern))
    #expect(
      try parts[1].tensor.array(of: UInt8.self) == [2, 130, 0, 0, 0, 0, 0, 0] + [255, 255, 255, 255, 255, 255, 255, 15]
        + [1])
  }

  @Test func `few values have places in place of bits`() throws {
    var values = [Double](repeating: 0, count: 4096)
    (values[5], values[4095]) = (1, 2)
    var sparse = SparseTensors()
    let parts = try sparse.encoded([("x", Tensor(values, shape: [64, 64]))])
    #expect(parts.map(\.name) == ["x.sparse_values", "x.sparse_indices"])
    #expect(try parts[0].tensor.isEqual(to: Tensor([1.0, 2])))
    #expect(try parts[1].tensor.array(of: Int32.self) == [5, 4095])
  }

  @Test func `what would not be smaller, what is zero throughout, integers and vectors stay as they are`() throws {
    let dense = try Tensor([Float](repeating: 1, count: 1000), shape: [10, 100])
    let small = try Tensor([Float](repeating: 0, count: 29) + [1], shape: [3, 10])
    let zeros = try Tensor.zeros([10, 100])
    let integers = try Tensor([Int64](repeating: 0, count: 999) + [1], shape: [10, 100])
    let bias = try Tensor([Float](repeating: 0, count: 999) + [1])
    var sparse = SparseTensors()
    let tensors = [("dense", dense), ("small", small), ("zeros", zeros), ("integers", integers), ("bias", bias)]
    let encoded = try sparse.encoded(tensors.map { (name: $0.0, tensor: $0.1) })
    #expect(encoded.map(\.name) == ["dense", "small", "zeros", "integers", "bias"])
    #expect(sparse == SparseTensors())
    #expect(sparse.json == nil)
  }

  // MARK: Files

  @Test(arguments: [2, 10, 100]) func `a pruned adapter comes back bit for bit from a smaller file`(every: Int) throws {
    let model = try pruned(every)
    try model.save(to: folder)
    let loaded = try backbone.adapted(from: folder)
    for (parameter, original) in zip(loaded.adapter.parameters, model.adapter.parameters) {
      #expect(try bits(parameter.value) == bits(original.value))
    }
    let dense = folder.appendingPathExtension("dense")
    defer { try? FileManager.default.removeItem(at: dense) }
    try model.save(to: dense, as: .peft)
    func size(_ folder: URL) throws -> Int {
      try Data(contentsOf: folder.appending(path: "adapter_model.safetensors")).count
    }
    #expect(try size(folder) < size(dense))
  }

  @Test func `the size is that of the density`() throws {
    let values = try Tensor.normal([300, 300], from: Generator(seed: 1)).floats().enumerated().map {
      $0 % 10 == 0 ? $1 : 0
    }
    var sparse = SparseTensors()
    let bytes = try sparse.encoded([("x", Tensor(values, shape: [300, 300]))]).reduce(0) {
      $0 + $1.tensor.count * $1.tensor.dtype.size
    }
    #expect(bytes == 9_000 * 4 + 90_000 / 8)
  }

  @Test func `PEFT is told that the folder is not for it, and gets all the zeros where it is asked for`() throws {
    let model = try pruned(10)
    try model.save(to: folder)
    let configuration = try JSONValue(contentsOf: folder.appending(path: "adapter_config.json"))
    #expect(configuration["peft_type"] == "GRAFT_LORA")
    let dense = folder.appendingPathExtension("dense")
    defer { try? FileManager.default.removeItem(at: dense) }
    try model.save(to: dense, as: .peft)
    let file = try SafetensorsFile(contentsOf: dense.appending(path: "adapter_model.safetensors"))
    #expect(file.names.allSatisfy { !$0.contains("sparse") })
    #expect(try AdapterFolder.format(of: dense) == .peft)
  }

  // MARK: Damage

  /// The saved adapter with a change of its tensors.
  private func damaged(_ every: Int = 10, _ change: (inout [String: Tensor]) throws -> Void) throws {
    try pruned(every).save(to: folder)
    let url = folder.appending(path: "adapter_model.safetensors")
    var tensors: [String: Tensor] = [:]
    let file = try SafetensorsFile(contentsOf: url)
    for name in file.names { tensors[name] = try file.tensor(name).clone() }
    try change(&tensors)
    var writer = SafetensorsWriter(metadata: ["format": "pt"])
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) { try writer.add(name, tensor) }
    try writer.write(to: url)
  }

  private let name = "blocks.0.attn.qkv.lora_B"

  private func refusal() throws -> SparseTensorError {
    try thrown(SparseTensorError.self) { _ = try backbone.adapted(from: folder) }
  }

  @Test func `more or fewer values than places are refused`() throws {
    // 36 · 12 numbers, of which 44 were kept.
    try damaged { $0["\(name).sparse_values"] = try $0["\(name).sparse_values"]?.narrowed(0, 0..<42).contiguous() }
    let error = try refusal()
    #expect(error == .count(name, places: 44, values: 42))
    #expect(
      error.description == "'\(name)' has 42 values and places for 44. The files are damaged; copy the folder again.")
  }

  @Test func `a mask of another length or type is refused`() throws {
    try damaged { $0["\(name).sparse_mask"] = try Tensor([UInt8](repeating: 1, count: 55)) }
    #expect(try refusal() == .mask(name, "[55] uint8", numbers: 432))
  }

  @Test func `bits beyond the end are refused`() throws {
    var sparse = try SparseTensors(json: ["x": [3]])
    var writer = SafetensorsWriter()
    try writer.add("x.sparse_values", Tensor([Float(1), 2]))
    try writer.add("x.sparse_mask", Tensor([UInt8(0b1001)]))
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let url = folder.appending(path: "x.safetensors")
    try writer.write(to: url)
    let file = try SafetensorsFile(contentsOf: url)
    #expect(sparse.names(of: file) == ["x"])
    let error = try thrown(SparseTensorError.self) { _ = try sparse.tensor("x", in: file, expected: [3]) }
    #expect(error == .beyond("x", place: 3, count: 3))
    sparse = try SparseTensors(json: ["x": [4]])
    #expect(try sparse.tensor("x", in: file, expected: [4]).floats() == [1, 0, 0, 2])
    let shape = try thrown(AdapterFolderError.self) { _ = try sparse.tensor("x", in: file, expected: [5]) }
    #expect(shape == .shape("x", file: url.path, expected: [5], found: [4]))
  }

  @Test(
    arguments: [
      ([5, 5], SparseTensorError.order("x", place: 5)), ([6, 5], .order("x", place: 5)),
      ([-1, 5], .beyond("x", place: -1, count: 64)), ([5, 64], .beyond("x", place: 64, count: 64)),
      ([5], .count("x", places: 1, values: 2)),
    ] as [([Int32], SparseTensorError)]) func `indices that do not ascend within the tensor are refused`(
      indices: [Int32], expected: SparseTensorError
    ) throws
  {
    let sparse = try SparseTensors(json: ["x": [8, 8]])
    var writer = SafetensorsWriter()
    try writer.add("x.sparse_values", Tensor([Float(1), 2]))
    try writer.add("x.sparse_indices", Tensor(indices))
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let url = folder.appending(path: "x.safetensors")
    try writer.write(to: url)
    let file = try SafetensorsFile(contentsOf: url)
    #expect(try thrown(SparseTensorError.self) { _ = try sparse.tensor("x", in: file, expected: [8, 8]) } == expected)
  }

  @Test func `a part that is missing or twice is named`() throws {
    try damaged { $0["\(name).sparse_mask"] = nil }
    let error = try thrown(AdapterFolderError.self) { _ = try backbone.adapted(from: folder) }
    guard case .names(_, let missing, let unexpected) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(missing == [name])
    #expect(unexpected == ["\(name).sparse_values"])
  }

  @Test(arguments: ["x", 3, ["x": "wide"], ["x": [-1]], ["x": [1.5]]] as [JSONValue])
  func `a list of shapes that is none is refused`(json: JSONValue) throws {
    #expect(throws: SparseTensorError.details) { try SparseTensors(json: json) }
  }
}
