import NeuralNetworks
import Tensors
import Training

/// Sparse experts to be kept and merged, not trained: M bits for each weight, and δ where any of them is set.
///
/// A gate is rounded to its bit at one half; gates that training has driven to 0 and 1 lose nothing, and the weights merged are then
/// the same bit for bit. A merge looks a weight's bits up in a table of the 2^M sums of α, for up to 16 experts.
public struct PackedExperts: Sendable {
  public let experts: Int
  /// How many gates were neither 0 nor 1 when they were packed.
  public let roundedGates: Int
  public let names: [String]
  /// For each of the backbone's tensors, uint8 `[count, ⌈experts / 8⌉]`, the lowest bit of the first byte the first expert's.
  public let bits: [Tensor]
  /// δ where a bit is set, in order.
  public let values: [Tensor]

  private let base: BaseTensors

  /// Packs what was trained.
  @Compute
  public init(_ trained: SparseExperts, of backbone: any Backbone) throws {
    let packed = try trained.offsets.map { try $0.packed() }
    try self.init(
      experts: trained.expertCount, rounded: packed.reduce(0) { $0 + $1.rounded }, bits: packed.map(\.bits),
      values: packed.map(\.values), of: backbone)
  }

  private init(experts: Int, rounded: Int, bits: [Tensor], values: [Tensor], of backbone: any Backbone) throws {
    self.experts = experts
    roundedGates = rounded
    base = try BaseTensors(of: backbone)
    names = base.names
    self.bits = bits
    self.values = values
  }

  /// Bytes of what is stored.
  public var bytes: Int { (bits + values).reduce(0) { $0 + $1.count * $1.dtype.size } }

  /// Writes `θ_pre + scale · Σ_m α_m (bit_m ∘ δ)` in place.
  ///
  /// - Throws: `MetaWeightsError.mixing` unless there is one number for each expert.
  @Compute
  public func merge(_ mixing: [Double], into task: TaskWeights, scale: Double = 1) throws {
    try base.check(task, mixing: mixing, experts: experts)
    for index in names.indices {
      try MaskedOffset.merge(
        bits: bits[index], values: values[index], mixing, onto: base.tensors[index], into: task.tensors[index],
        scale: scale)
    }
  }

  // MARK: File form

  /// The tensors of a file, in a fixed order: `packed.experts` and `packed.rounded`, int64 scalars, and for each tensor `NAME` of
  /// the backbone `packed.bits.NAME` and `packed.offset.NAME`.
  public var stored: [(name: String, tensor: Tensor)] {
    get throws {
      let head = [
        ("\(Self.prefix)experts", try Tensor(Int64(experts))),
        ("\(Self.prefix)rounded", try Tensor(Int64(roundedGates))),
      ]
      return head
        + names.indices.flatMap { index in
          [
            ("\(Self.prefix)bits.\(names[index])", bits[index]),
            ("\(Self.prefix)offset.\(names[index])", values[index]),
          ]
        }
    }
  }

  /// Reads what `stored` wrote, for the same backbone.
  ///
  /// - Parameter stored: by name; names that do not begin with `packed.` are somebody else's.
  /// - Throws: `MetaWeightsError.missing`, `.unknown`, `.shape`, `.noExperts`, `.dtype`
  public init(stored: [String: Tensor], of backbone: any Backbone) throws {
    let own = stored.filter { $0.key.hasPrefix(Self.prefix) }
    var read: Set<String> = []
    func tensor(_ what: String) throws -> Tensor {
      let name = Self.prefix + what
      guard let tensor = own[name] else { throw MetaWeightsError.missing(name) }
      read.insert(name)
      return tensor
    }
    func number(_ what: String) throws -> Int {
      let tensor = try tensor(what)
      guard tensor.count == 1, tensor.dtype == .int64 else {
        throw MetaWeightsError.shape(Self.prefix + what, found: tensor.shape, expected: [])
      }
      return try tensor.integer()
    }
    let experts = try number("experts")
    guard (1...SparseExperts.mostExperts).contains(experts) else { throw MetaWeightsError.noExperts(experts) }
    var (bits, values): ([Tensor], [Tensor]) = ([], [])
    for (name, weights) in backbone.tensors {
      let (mask, offset) = (try tensor("bits.\(name)"), try tensor("offset.\(name)"))
      let shape = [weights.count, (experts + 7) / 8]
      guard mask.shape == shape, mask.dtype == .uint8 else {
        throw MetaWeightsError.shape("\(Self.prefix)bits.\(name)", found: mask.shape, expected: shape)
      }
      let kept = try (mask.to(.int64).sum(1)).isGreater(than: 0).to(.int64).sum().integer()
      guard offset.shape == [kept] else {
        throw MetaWeightsError.shape("\(Self.prefix)offset.\(name)", found: offset.shape, expected: [kept])
      }
      guard offset.dtype == weights.dtype else {
        throw MetaWeightsError.dtype("\(offset.dtype)", tensor: "\(Self.prefix)offset.\(name)")
      }
      bits.append(try mask.to(weights.device))
      values.append(try offset.to(weights.device))
    }
    if let unknown = Set(own.keys).subtracting(read.union(["\(Self.prefix)rounded"])).min() {
      throw MetaWeightsError.unknown(unknown)
    }
    try self.init(experts: experts, rounded: number("rounded"), bits: bits, values: values, of: backbone)
  }

  private static let prefix = "packed."
}
