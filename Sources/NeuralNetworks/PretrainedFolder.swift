import Formats
import Foundation
import Tensors

/// The folder that a backbone was read from, as the pattern for a changed one: a checkpoint of the same format, with the same
/// tensors in the same files, in the names, shapes and types that the folder's own library gave them.
///
/// Loading brings a file's tensors to the backbone's: queries, keys and values into one map, CLIP's class token into a
/// sequence, half precision to float32. This is the way back, so that what read the old folder reads the new one.
public struct PretrainedFolder: Sendable {
  public let url: URL
  /// The sha256 of the weights: of the file, or of the digests of the shards.
  public let digest: String
  private let files: ShardedSafetensors
  private let sources: [String: WeightSources.Source]

  /// - Throws: `LoadError`, `SafetensorsError`, `ShardedSafetensorsError` or `FileError` for what is no vision transformer.
  public init(_ url: URL) throws {
    self.url = url
    files = try ShardedSafetensors(in: url)
    sources = try WeightSources(files).sources
    digest = try files.fingerprint()
  }

  /// The file's tensors that a tensor of the backbone is made of: one, or queries, keys and values; none where it has none.
  public func sources(of name: String) -> [String] { sources[name]?.names ?? [] }

  /// A tensor as the file holds it.
  public func tensor(_ name: String) throws -> Tensor { try files.tensor(name) }

  /// Every tensor of the file with its shape and type.
  public var tensors: [TensorInfo] { files.tensors }

  /// Tensors of the file with other values than they have, in the file's shapes and types.
  public struct Changes: Sendable {
    /// By the file's names. What came out bit for bit as it was is not among them.
    public internal(set) var tensors: [String: Tensor] = [:]
    /// For each type of half precision, what rounding to it lost.
    public internal(set) var roundings: [Rounding] = []

    public init() {}

    public init(_ tensors: [String: Tensor]) { self.tensors = tensors }
  }

  /// What is lost where a change is smaller than the spacing of a type.
  public struct Rounding: Hashable, Sendable {
    public let dtype: DType
    /// How many changed tensors are of this type.
    public let tensors: Int
    /// `‖written − wanted‖ / ‖wanted − original‖` over these tensors: 0 where all of the change is there.
    public let loss: Double
  }

  /// The file's tensors for other values of the backbone's, each rounded once from the float32 or float64 given to the type
  /// in the file.
  ///
  /// - Parameter values: by the backbone's names, in the backbone's shapes.
  /// - Throws: `PretrainedFolderError` for a tensor that the file has no place for, of another shape, or with numbers that are
  ///   not finite in the file's type.
  public func changes(_ values: [String: Tensor]) throws -> Changes {
    var changes = Changes()
    var losses: [DType: (tensors: Int, lost: Double, wanted: Double)] = [:]
    for (name, value) in values.sorted(by: { $0.key < $1.key }) {
      for (source, wanted) in try pieces(of: name, value) {
        let original = try files.tensor(source)
        let written = try wanted.to(original.dtype).contiguous()
        guard try written.isAllFinite() else {
          throw PretrainedFolderError.notFinite(source, original.dtype)
        }
        guard try !written.isEqual(to: original), try !isUnchanged(wanted, original) else { continue }
        changes.tensors[source] = written
        if original.dtype.size < DType.float32.size {
          let (exact, before) = (try wanted.to(.float64), try original.to(.float64))
          let lost: Double = try (written.to(.float64) - exact).squared().sum().item()
          let size: Double = try (exact - before).squared().sum().item()
          let sum = losses[original.dtype] ?? (0, 0, 0)
          losses[original.dtype] = (sum.tensors + 1, sum.lost + lost, sum.wanted + size)
        }
      }
    }
    changes.roundings = losses.sorted { "\($0.key)" < "\($1.key)" }.map { dtype, sum in
      Rounding(dtype: dtype, tensors: sum.tensors, loss: sum.wanted > 0 ? (sum.lost / sum.wanted).squareRoot() : 0)
    }
    return changes
  }

  /// Whether nothing was changed but the digits that float64 has over the backbone's float32.
  private func isUnchanged(_ value: Tensor, _ original: Tensor) throws -> Bool {
    guard original.dtype == .float64 else { return false }
    return try value.to(.float32).isEqual(to: original.to(.float32))
  }

  /// A tensor of the backbone cut and turned into the file's.
  private func pieces(of name: String, _ value: Tensor) throws -> [(source: String, tensor: Tensor)] {
    guard let source = sources[name] else { throw PretrainedFolderError.noPlace(name, folder: url.path) }
    let shapes = try source.names.map { try files.info(of: $0).shape }
    let value = try withoutGradients { try value.detached().to(.cpu) }
    func checked(_ shape: [Int]) throws -> [Int] {
      guard value.shape == shape else { throw PretrainedFolderError.shape(name, expected: shape, found: value.shape) }
      return shape
    }
    switch source {
    case .whole(let theirs):
      guard value.count == shapes[0].reduce(1, *) else {
        throw PretrainedFolderError.shape(name, expected: shapes[0], found: value.shape)
      }
      return [(theirs, try value.reshaped(shapes[0]))]
    case .transposed(let theirs):
      _ = try checked(shapes[0].reversed())
      return [(theirs, try value.transposed())]
    case .parts(let theirs):
      _ = try checked([shapes.reduce(0) { $0 + ($1.first ?? 0) }] + shapes[0].dropFirst())
      var row = 0
      return try zip(theirs, shapes).map { part, shape in
        let rows = row..<row + (shape.first ?? 0)
        row = rows.upperBound
        return (part, try value.narrowed(0, rows))
      }
    }
  }

  /// A file of the folder that has no place in a changed copy.
  public struct LeftOut: Hashable, Sendable, CustomStringConvertible {
    public let name: String
    public let reason: String
    public var description: String { "\(name): \(reason)" }
  }

  /// Fills an empty folder with the checkpoint as changed: weights, their index, and the files beside them. Tensors that are
  /// not changed, headers and metadata are the old ones byte for byte. Call it within `AtomicFolder.write`.
  ///
  /// - Parameter others: names of files beside the weights that are not copied.
  /// - Returns: what else was not copied, and why: weights in other formats, which would hold the old values.
  /// - Throws: `SafetensorsError` for a tensor that is not in the file; `ContainedPathError` for a link that leads out of the
  ///   folder; `FileError`.
  public func write(_ changes: Changes, to folder: URL, leavingOut others: Set<String> = []) throws -> [LeftOut] {
    for name in changes.tensors.keys.sorted() { _ = try files.info(of: name) }
    for (name, file) in files.shards.sorted(by: { $0.key < $1.key }) {
      let own = Set(file.names)
      var replaced: [String: SafetensorsWriter.Provider] = [:]
      for (tensor, value) in changes.tensors where own.contains(tensor) {
        guard SafetensorsDType(value.dtype) == file[tensor]?.dtype, value.shape == file[tensor]?.shape else {
          throw PretrainedFolderError.shape(tensor, expected: file[tensor]?.shape ?? [], found: value.shape)
        }
        let value = try value.detached().contiguous()
        replaced[tensor] = { consume in try value.withBytes(consume) }
      }
      let target = folder.appendingPathComponent(name)
      try FileManager.default.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
      try file.write(to: target, replacing: replaced)
    }
    return try copyOthers(to: folder, leavingOut: others)
  }

  private func copyOthers(to folder: URL, leavingOut others: Set<String>) throws -> [LeftOut] {
    let manager = FileManager.default
    var leftOut: [LeftOut] = []
    for name in try manager.contentsOfDirectory(atPath: url.path).sorted()
    where !others.contains(name) && files.shards[name] == nil {
      // Through links, which the hub's cache consists of, but not out of the folder.
      let file = try ContainedPath.resolve(name, in: url).resolvingSymlinksInPath()
      if let reason = try reasonToLeaveOut(name, file) {
        leftOut.append(LeftOut(name: name, reason: reason))
      } else {
        try manager.copyItem(at: file, to: folder.appendingPathComponent(name))
      }
    }
    return leftOut
  }

  private func reasonToLeaveOut(_ name: String, _ file: URL) throws -> String? {
    let type = try FileManager.default.attributesOfItem(atPath: file.path)[.type] as? FileAttributeType
    if type == .typeDirectory { return "a folder" }
    if type != .typeRegular { return "no plain file" }
    if name.hasPrefix(".") { return "a hidden file" }
    if name == "manifest.json" { return "its digests are those of the unchanged files" }
    let isIndex = name == "model.safetensors.index.json" && files.shards["model.safetensors"] == nil
    let isWeights = Self.weightEndings.contains { name.lowercased().hasSuffix($0) }
    return isWeights && !isIndex ? "weights that are not changed" : nil
  }

  private static let weightEndings = [
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack", ".onnx", ".npz", ".gguf", ".tflite",
    ".index.json",
  ]
}

/// A changed backbone that a checkpoint of the same format cannot hold.
public enum PretrainedFolderError: Error, Equatable, CustomStringConvertible {
  case noPlace(String, folder: String)
  case shape(String, expected: [Int], found: [Int])
  case notFinite(String, DType)

  public var description: String {
    switch self {
    case .noPlace(let name, let folder):
      if name.hasSuffix(".bias") {
        """
        The checkpoint in \(folder) has no '\(name)': the map '\(name.dropLast(".bias".count))' has no bias there, and a \
        checkpoint of the same tensors has no place for one. Keep the adapter beside the model, or adapt without biases.
        """
      } else {
        "The checkpoint in \(folder) has no tensor that '\(name)' could be written to."
      }
    case .shape(let name, let expected, let found):
      "'\(name)' has shape \(found), and the checkpoint has place for \(expected)."
    case .notFinite(let name, let dtype):
      """
      '\(name)' would hold NaN or infinity as \(dtype); nothing was written. The adapter has diverged, or its weight is too \
      large.
      """
    }
  }
}
