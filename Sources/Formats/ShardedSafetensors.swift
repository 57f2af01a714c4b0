import Foundation

/// The weights of a model in a folder: `model.safetensors`, or `model.safetensors.index.json` and the shards it
/// names.
///
/// Every shard is opened and compared with the index at once: each tensor must be in the shard that the index gives,
/// and each tensor of a shard must be in the index, so nothing is loaded partly.
public final class ShardedSafetensors: Sendable {
  public let folder: URL
  /// Shard by shard in the order of their names, in each in the order of the data.
  public let tensors: [TensorInfo]
  /// By the names the index gives; the one file where there is no index.
  public let shards: [String: SafetensorsFile]
  /// `metadata` of the index, for instance `total_size`; nil where there is no index, or none in it.
  public let indexMetadata: JSONValue?

  /// The shard and the place in it.
  private let shardOf: [String: SafetensorsFile]

  /// Shards a model may have. Each is a memory mapping, and Linux allows a process 65,530 of them.
  public static let maximumShards = 10_000

  /// - Parameter name: what stands before `.safetensors`: `model`, `adapter_model`, `open_clip_model`. The single
  ///   file is taken where both are there, as transformers does.
  /// - Throws: `ShardedSafetensorsError`; `SafetensorsError` for a file that breaks a rule of the format.
  public init(in folder: URL, named name: String = "model", access: MappedFile.Access = .mapped) throws {
    self.folder = folder
    let single = name + ".safetensors"
    let index = single + ".index.json"
    let manager = FileManager.default
    if manager.fileExists(atPath: folder.appendingPathComponent(single).path) {
      let file = try SafetensorsFile(contentsOf: folder.appendingPathComponent(single), access: access)
      tensors = file.tensors
      shards = [single: file]
      indexMetadata = nil
      shardOf = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, file) })
      return
    }
    guard manager.fileExists(atPath: folder.appendingPathComponent(index).path) else {
      let found = ((try? manager.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
      throw ShardedSafetensorsError.noWeights(folder: folder.path, expected: [single, index], found: found)
    }
    let indexURL = folder.appendingPathComponent(index)
    let (weightMap, metadata) = try Self.readIndex(indexURL)
    let byShard = Dictionary(grouping: weightMap, by: \.shard)
    guard byShard.count <= Self.maximumShards else {
      throw ShardedSafetensorsError.malformedIndex(
        indexURL.path, "It names \(byShard.count) shards; at most \(Self.maximumShards) are read.")
    }
    let shards = try Self.open(byShard, in: folder, index: indexURL.path, access: access)
    try Self.compare(weightMap, shards, index: indexURL.path)
    self.shards = shards
    indexMetadata = metadata
    tensors = shards.sorted { $0.key.precedesByCodePoints($1.key) }.flatMap(\.value.tensors)
    shardOf = Dictionary(uniqueKeysWithValues: shards.values.flatMap { file in file.tensors.map { ($0.name, file) } })
  }

  public var names: [String] { tensors.map(\.name) }

  public subscript(name: String) -> TensorInfo? { shardOf[name]?[name] }

  /// - Throws: `SafetensorsError` with the names most like it, if there is no such tensor.
  public func info(of name: String) throws(SafetensorsError) -> TensorInfo { try file(of: name).info(of: name) }

  /// The file that holds a tensor.
  /// - Throws: `SafetensorsError` if there is no such tensor.
  public func file(of name: String) throws(SafetensorsError) -> SafetensorsFile {
    guard let file = shardOf[name] else {
      let suggestion = Suggestion.didYouMean(name, among: tensors.lazy.map(\.name))
      throw SafetensorsError(.noSuchTensor(suggestion: suggestion), file: folder.path, tensor: name)
    }
    return file
  }

  /// The elements of a tensor; valid for as long as this object, or the shard, lives. See `SafetensorsFile.bytes(of:)`.
  public func bytes(of name: String) throws(SafetensorsError) -> UnsafeRawBufferPointer {
    try file(of: name).bytes(of: name)
  }

  public func withBytes<Result>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    try file(of: name).withBytes(of: name, body)
  }

  // MARK: - The index

  private typealias Place = (tensor: String, shard: String)

  private static func readIndex(_ url: URL) throws -> ([Place], JSONValue?) {
    func malformed(_ reason: String) -> ShardedSafetensorsError { .malformedIndex(url.path, reason) }
    let json: JSONValue
    do { json = try JSONValue(contentsOf: url) } catch let error as JSONFileError { throw malformed("\(error.error)") }
    guard let object = json.object else { throw malformed("It is \(json.kind), not an object.") }
    guard let weightMap = object["weight_map"]?.object, !weightMap.isEmpty else {
      throw malformed("It has no \"weight_map\" that gives tensors their shards.")
    }
    let places = try weightMap.members.map { tensor, value -> Place in
      guard let shard = value.string else {
        throw malformed("\"weight_map\" gives \(tensor.prefix(200).debugDescription) \(value.kind), not a file name.")
      }
      return (tensor, shard)
    }
    return (places, object["metadata"])
  }

  private static func open(
    _ byShard: [String: [Place]], in folder: URL, index: String, access: MappedFile.Access
  ) throws -> [String: SafetensorsFile] {
    var urls: [String: URL] = [:]
    for shard in byShard.keys.sorted(by: { $0.precedesByCodePoints($1) }) {
      do throws(ContainedPathError) {
        urls[shard] = try ContainedPath.resolve(shard, in: folder)
      } catch {
        throw ShardedSafetensorsError.unsafeShard(index, tensor: byShard[shard]?.first?.tensor ?? "", error)
      }
    }
    let absent = urls.filter { !FileManager.default.fileExists(atPath: $0.value.path) }.keys
    guard absent.isEmpty else {
      let missing = absent.sorted { $0.precedesByCodePoints($1) }
      let present = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
        .filter { $0.hasSuffix(".safetensors") }.sorted()
      throw ShardedSafetensorsError.missingShards(index, missing: missing, present: present)
    }
    return try urls.mapValues { try SafetensorsFile(contentsOf: $0, access: access) }
  }

  /// Both sides of the difference between the index and the shards.
  private static func compare(
    _ weightMap: [Place], _ shards: [String: SafetensorsFile], index: String
  ) throws(ShardedSafetensorsError) {
    var unclaimed: [String: Set<String>] = shards.mapValues { Set($0.names) }
    var missing: [ShardedSafetensorsError.Place] = []
    for (tensor, shard) in weightMap where unclaimed[shard]?.remove(tensor) == nil {
      missing.append(.init(tensor: tensor, shard: shard))
    }
    let unlisted = unclaimed.flatMap { shard, names in
      names.map { ShardedSafetensorsError.Place(tensor: $0, shard: shard) }
    }
    guard missing.isEmpty, unlisted.isEmpty else {
      throw .disagreement(index, missing: missing.sorted(), unlisted: unlisted.sorted())
    }
  }
}

/// Why the weights of a folder cannot be used.
public enum ShardedSafetensorsError: Error, Equatable, CustomStringConvertible {
  /// A tensor and the shard it is, or should be, in.
  public struct Place: Equatable, Comparable, Sendable {
    public var tensor: String
    public var shard: String

    public static func < (left: Place, right: Place) -> Bool {
      left.shard == right.shard
        ? left.tensor.precedesByCodePoints(right.tensor) : left.shard.precedesByCodePoints(right.shard)
    }
  }

  case noWeights(folder: String, expected: [String], found: [String])
  case malformedIndex(String, String)
  case unsafeShard(String, tensor: String, ContainedPathError)
  case missingShards(String, missing: [String], present: [String])
  /// `missing`: in the index, not in its shard. `unlisted`: in a shard that the index does not give it.
  case disagreement(String, missing: [Place], unlisted: [Place])

  public var description: String {
    switch self {
    case .noWeights(let folder, let expected, let found):
      """
      '\(folder)' has neither \(expected.joined(separator: " nor ")). It holds \(Self.list(found)).\
      \(found.contains(where: Self.isPickle) ? Self.pickleRemedy : "")
      """
    case .malformedIndex(let index, let reason):
      "'\(index)' cannot be used. \(reason)"
    case .unsafeShard(let index, let tensor, let error):
      "'\(index)', tensor \(tensor.prefix(200).debugDescription): \(error)"
    case .missingShards(let index, let missing, let present):
      """
      '\(index)' names shards that are not there: \(Self.list(missing)). Present are \(Self.list(present)). \
      Download the missing ones.
      """
    case .disagreement(let index, let missing, let unlisted):
      """
      '\(index)' and its shards disagree. In the index but not in the shard it gives: \
      \(Self.list(missing.map(Self.name))). In a shard but not listed for it: \(Self.list(unlisted.map(Self.name))). \
      The files are not of one model: download all of them again.
      """
    }
  }

  private static let pickleRemedy = """
     Its weights are Python pickles, which can run code when they are loaded: ask for a revision with \
    .safetensors files, or convert them in Python with safetensors.torch.save_file.
    """

  private static func isPickle(_ name: String) -> Bool {
    [".bin", ".pt", ".pth", ".ckpt", ".pkl"].contains { name.hasSuffix($0) }
  }

  private static func name(_ place: Place) -> String { "\(place.tensor) (\(place.shard))" }

  /// The first few, and how many more.
  private static func list(_ names: [String]) -> String {
    guard !names.isEmpty else { return "nothing" }
    let shown = names.prefix(10).map { $0.count > 200 ? $0.prefix(200) + "…" : $0 }.joined(separator: ", ")
    return names.count > 10 ? "\(shown) and \(names.count - 10) more" : shown
  }
}
