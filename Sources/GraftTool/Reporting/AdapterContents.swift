import Adapters
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Tensors

/// What lies in an adapter's folder, without the network that it is for.
struct AdapterContents {
  let folder: URL
  let format: AdapterFormat
  /// The program that wrote it, where it says so.
  private(set) var writer: String?
  private(set) var method: String
  let settings: JSONObject
  /// The network it was trained on; nil where the files do not say.
  let fingerprint: String?
  private(set) var classes: [String]
  let tensors: [Entry]
  /// What it was mixed of; nil for an adapter that is no mixture.
  let mixture: MixProvenance?

  struct Entry {
    let file: String
    let info: TensorInfo
    /// Frobenius, or the Euclidean length of a vector.
    let norm: Double
  }

  /// - Throws: `AdapterFolderError` for a folder of no known program; `JSONFileError`, `SafetensorsError` or `FileError` for damaged
  ///   files.
  init(of folder: URL) throws {
    self.folder = folder
    let configuration = try JSONValue(contentsOf: folder.appendingPathComponent("adapter_config.json"))
    let details = folder.appendingPathComponent("graft.json")
    let own = FileManager.default.fileExists(atPath: details.path) ? try JSONValue(contentsOf: details) : .null
    format = try AdapterFolder.format(of: folder)
    let theirs = configuration["config"]
    method =
      own["method"]?.string ?? configuration["peft_type"]?.string ?? configuration["fine_tune_type"]?.string
      ?? theirs?["architecture"]?.string ?? (format == .adapterHub ? "bottleneck" : "lora")
    settings = own["settings"]?.object ?? theirs?.object ?? configuration.object ?? JSONObject()
    fingerprint = own["backbone"]?["fingerprint"]?.string
    classes = own["classes"]?.array?.compactMap(\.string) ?? []
    mixture = try MixProvenance(in: folder)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    if !names.contains(where: { $0.hasSuffix(".safetensors") }) {
      if let pickle = names.first(where: { $0.hasSuffix(".bin") }) {
        let path = folder.appendingPathComponent(pickle).path
        throw AdapterFolderError.pickle(path, safetensors: path.dropLast(".bin".count) + ".safetensors")
      }
      throw AdapterFolderError.noWeights(folder.path, expected: "adapter_model.safetensors")
    }
    tensors = try names.filter { $0.hasSuffix(".safetensors") }.flatMap { name in
      let file = try SafetensorsFile(contentsOf: folder.appendingPathComponent(name))
      return try file.tensors.map { info in
        Entry(file: name, info: info, norm: try file.tensor(info.name).to(.float64).norm().item())
      }
    }
  }

  /// What reading it onto its network told.
  mutating func take(_ loaded: LoadedAdapter) {
    writer = loaded.writer
    method = type(of: loaded.model.adapter.configuration).method
    classes = loaded.model.head?.classes ?? classes
  }

  /// The numbers stored; where those of a sparse tensor stand are none.
  var count: Int {
    tensors.reduce(0) { sum, entry in
      let isPlace = [".sparse_mask", ".sparse_indices"].contains { entry.info.name.hasSuffix($0) }
      return isPlace ? sum : sum + entry.info.elementCount
    }
  }

  var text: String {
    get throws {
      var text = "method    \(method.lowercased())\n"
      for (key, value) in settings.members where !value.isNull { text += "  \(key): \(try Self.text(of: value))\n" }
      text += "format    \(writer ?? "\(format)")\n"
      if let fingerprint { text += "network   \(fingerprint.prefix(12))…\n" }
      if let mixture { text += "mixed     \(try Self.text(of: mixture))\n" }
      if !classes.isEmpty { text += "classes   \(classes.joined(separator: ", "))\n" }
      return text + "numbers   \(Quantity.count(count)) in \(tensors.count) tensors\n"
    }
  }

  /// A setting's value; of a long list how many there are, and the first.
  static func text(of value: JSONValue) throws -> String {
    guard let list = value.array, list.count > 12 else { return try value.text() }
    return "\(list.count), \(try list.prefix(3).map { try $0.text() }.joined(separator: ", ")), …"
  }

  /// `ties of a (0.5), b (1.0)`
  private static func text(of mixture: MixProvenance) throws -> String {
    let members = mixture.members.map { member in member.name + (member.weight.map { " (\($0))" } ?? "") }
    let rule = mixture.rule["method"]?.string ?? "?"
    return "\(rule) of \(members.joined(separator: ", ")) in the space of \(mixture.space.rawValue)"
  }

  /// The tensors of the files, for where there is no network to say what they change.
  var table: String {
    var table = TextTable(header: ["Tensor", "type", "shape", "norm"])
    table.rows = tensors.map { entry in
      [
        entry.info.name, entry.info.dtype.rawValue, entry.info.shape.map(String.init).joined(separator: " × "),
        Quantity.fixed(entry.norm, 4),
      ]
    }
    return "\n\(table.text)"
  }

  func json() throws -> JSONObject {
    [
      "adapter": .string(folder.path), "method": .string(method), "format": .string(format.rawValue),
      "writer": writer.map(JSONValue.string) ?? .null,
      "settings": .object(settings), "fingerprint": fingerprint.map(JSONValue.string) ?? .null,
      "classes": .array(classes.map(JSONValue.string)), "mixture": try mixture?.json() ?? .null,
      "numbers": .integer(count),
      "tensors": .array(
        tensors.map { entry in
          [
            "name": .string(entry.info.name), "file": .string(entry.file), "dtype": .string(entry.info.dtype.rawValue),
            "shape": .array(entry.info.shape.map(JSONValue.integer)),
            "norm": entry.norm.isFinite ? .double(entry.norm) : .null,
          ]
        }),
    ]
  }
}
