import Adapters
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

/// A task's network to keep: what a meta-tuned model makes of a few labelled examples, as an adapter on the frozen backbone.
///
/// The adapter is the change `θ_i − θ_pre` of each linear map, sparse where that takes fewer bytes, and beside it the other tensors
/// that changed, whole; the classifier is `10 · cos` with the prototypes of the support under `θ_i`. It is an `AdaptedModel` like any
/// other: it predicts, is saved, read, merged and mixed, and knows nothing of experts.
@Compute
public struct TaskModel {
  public nonisolated let model: AdaptedModel
  /// α
  public nonisolated let mixing: [Double]

  /// - Parameters:
  ///   - meta: its `scale` applies.
  ///   - support: `[examples, …]`
  ///   - labels: the class of each, an index into `classes`.
  ///   - classes: two or more, of different names.
  ///   - batchSize: examples in one forward pass.
  /// - Throws: `PrototypeError` for a class without support, `HeadError` for fewer than two classes.
  public init(_ meta: MetaModel, support: Tensor, labels: [Int], classes: [String], batchSize: Int = 64) throws {
    guard classes.count > 1 else { throw HeadError.classes(classes) }
    let backbone = meta.backbone
    func features(by network: (Tensor) throws -> Tensor) throws -> Tensor {
      try withoutGradients {
        let count = support.shape.first ?? 0
        return try .concatenated(
          stride(from: 0, to: count, by: max(1, batchSize)).map {
            try network(support.narrowed(0, $0..<min($0 + max(1, batchSize), count)))
          })
      }
    }
    guard support.shape.first ?? 0 > 0 else { throw PrototypeError.count(features: 0, labels: labels.count) }
    let task = try TaskWeights(of: backbone)
    mixing = try meta.adapt(
      support: support, labels: labels, ways: classes.count, frozenFeatures: features(by: meta.frozenFeatures),
      into: task)
    let adapter = try Self.change(of: backbone, to: task.tensors)
    let prototypes = try Prototypes.means(
      of: features { try meta.features($0, by: task) }, labels: labels, ways: classes.count)
    model = AdaptedModel(
      backbone: backbone, adapter: adapter,
      head: try Head(classes: classes, prototypes: prototypes))
  }

  /// The adapter that makes of a backbone's tensors these: the changes of its linear maps, and the other tensors whole. What did not
  /// change bit for bit is left out.
  private static func change(of backbone: any Backbone, to values: [Tensor]) throws -> Adapter {
    var changed: [String: Tensor] = [:]
    for ((name, original), value) in zip(backbone.tensors, values) {
      let value = try value.detached()
      if try !value.isEqual(to: original) { changed[name] = value }
    }
    let sites = backbone.sites.filter { changed["\($0.name).weight"] != nil || changed["\($0.name).bias"] != nil }
    let own = Set(sites.flatMap { ["\($0.name).weight", "\($0.name).bias"] })
    let configuration = DeltaTuning(
      biases: sites.map(\.name).filter { changed["\($0).bias"] != nil },
      tunedTensors: backbone.tensors.map(\.name).filter { changed[$0] != nil && !own.contains($0) })
    let adapter = try Adapter(unseeded: configuration, at: sites, of: backbone)
    let originals = Dictionary(backbone.tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
    for parameter in adapter.parameters {
      for (suffix, kind) in [(".bias_delta", ".bias"), (".delta", ".weight")] {
        guard parameter.name.hasSuffix(suffix) else { continue }
        let name = parameter.name.dropLast(suffix.count) + kind
        // A map of which only the bias changed keeps a change of zero.
        guard let value = changed[String(name)], let original = originals[String(name)] else { continue }
        try parameter.load(withoutGradients { try value - original })
      }
      if let value = changed[parameter.name] { try parameter.load(value) }
    }
    return adapter
  }

  /// How much of the backbone changes: numbers that are not zero in the changes of linear maps, and all of the tensors kept whole.
  public var changedWeights: Int {
    get throws {
      try model.adapter.parameters.reduce(0) { sum, parameter in
        let value = try parameter.value.detached()
        guard parameter.name.hasSuffix("delta") else { return sum + value.count }
        return try sum + value.equals(0).not().to(.int64).sum().integer()
      }
    }
  }
}

/// Where a task's model comes from: `task.json` beside its adapter.
public struct TaskRecord: Sendable, Hashable, Codable {
  public static let fileName = "task.json"

  /// The meta-tuned model's folder, and the sha256 of its tensors.
  public var model: String
  public var digest: String
  public var method: MetaMethod
  public var preset: MetaPreset
  /// Training tasks that it had seen, on which the temperature of mixing depends.
  public var tasksSeen: Int
  public var seed: UInt64
  /// The backbone's fingerprint.
  public var backbone: String
  /// By which what was trained is scaled.
  public var scale: Double
  /// α
  public var mixing: [Double]
  public var support: [Support]
  /// Side of the images in pixels; nil for texts.
  public var imageSize: Int?

  public struct Support: Sendable, Hashable, Codable {
    public var name: String
    public var examples: Int

    enum CodingKeys: String, CodingKey {
      case name = "class"
      case examples
    }

    public init(name: String, examples: Int) {
      self.name = name
      self.examples = examples
    }
  }

  enum CodingKeys: String, CodingKey {
    case model, digest, method, preset
    case tasksSeen = "tasks_seen"
    case seed, backbone, scale, mixing, support
    case imageSize = "image_size"
  }

  /// - Parameter folder: that `meta` was read from.
  /// - Throws: `FileError` where its tensors are not there.
  @Compute
  public init(
    _ task: TaskModel, of meta: MetaModel, in folder: URL, support: [Support], imageSize: Int?
  ) throws {
    model = folder.path
    digest = try FileDigest.sha256(of: folder.appendingPathComponent(MetaModel.tensorsFile))
    method = meta.configuration.method
    preset = meta.configuration.preset
    tasksSeen = meta.tasksSeen
    seed = meta.configuration.seed
    backbone = meta.backbone.fingerprint
    scale = meta.weights.scale
    mixing = task.mixing
    self.support = support
    self.imageSize = imageSize
  }

  /// - Throws: `FileError`
  public func write(to folder: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let json = try JSONValue(parsing: encoder.encode(self))
    try AtomicFile.write(json.text(.readable) + "\n", to: folder.appendingPathComponent(Self.fileName))
  }
}
