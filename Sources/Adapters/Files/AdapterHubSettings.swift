import Formats
import NeuralNetworks

/// The settings of AdapterHub's LoRA and bottleneck adapters, in both directions.
struct AdapterHubSettings {
  let fields: JSONObject
  let folder: String

  init(_ fields: JSONObject, folder: String) {
    self.fields = fields
    self.folder = folder
  }

  /// Blocks without an adapter.
  var leftOut: Set<Int> { Set(fields["leave_out"]?.array?.compactMap(\.integer) ?? []) }

  private func refusal(_ field: String, _ reason: String) throws -> AdapterFolderError {
    .setting(folder, field: field, value: try fields[field]?.text() ?? "missing", reason: reason)
  }

  /// - Throws: `AdapterFolderError.setting` for a field that has none of these values; a field that is left out has the first.
  private func require(_ field: String, _ values: JSONValue..., reason: String = "that is not supported.") throws {
    if let value = fields[field], !values.contains(value) { throw try refusal(field, reason) }
  }

  private func number(_ field: String) throws -> Double {
    guard let value = fields[field]?.double, value.isFinite else { throw try refusal(field, "a number is wanted.") }
    return value
  }

  /// A dropout rate; 0 where the file does not have it.
  private func rate(_ field: String) throws -> Double {
    switch fields[field] {
    case nil, .null: 0
    default: try number(field)
    }
  }

  private func flag(_ field: String, _ usual: Bool) throws -> Bool {
    guard let value = fields[field] else { return usual }
    guard let flag = value.bool else { throw try refusal(field, "true or false is wanted.") }
    return flag
  }

  /// What is used only in training and was not carried over.
  func trainingNotes(except kept: Set<String>) -> [String] {
    ["dropout", "stochastic_depth"].filter { !kept.contains($0) && fields[$0]?.double ?? 0 != 0 }.map {
      "\($0) \(fields[$0]?.double ?? 0) is used only in training and not carried over"
    }
  }

  // MARK: LoRA

  /// The settings, and the roles of the maps that are adapted.
  func lora() throws -> (LoRA, Set<Site.Role>) {
    try require("composition_mode", "add")
    try require("use_gating", false)
    try require("use_dora", false)
    for field in ["vera_d", "vera_b"] { try require(field, nil) }
    let rank = try number("r")
    guard let rank = Int(exactly: rank), rank > 0 else { throw try refusal("r", "a number from 1 is wanted.") }
    let lora = LoRA(rank: rank, alpha: try number("alpha"), dropout: try rate("dropout"))
    var roles: Set<Site.Role> = []
    if try flag("selfattn_lora", true) {
      let known: [String: Site.Role] = ["q": .query, "k": .key, "v": .value]
      for matrix in fields["attn_matrices"]?.array ?? ["q", "v"] {
        guard let role = matrix.string.flatMap({ known[$0] }) else {
          throw try refusal("attn_matrices", "q, k and v are read.")
        }
        roles.insert(role)
      }
    }
    if try flag("intermediate_lora", false) { roles.insert(.fc1) }
    if try flag("output_lora", false) { roles.insert(.fc2) }
    return (lora, roles)
  }

  /// - Parameter blocks: how many blocks are adapted.
  static func fields(_ lora: LoRA, _ sites: [Site], blocks: Int) throws -> JSONObject {
    func refuse(_ what: String) -> AdapterFolderError { .notWritable(.adapterHub, what) }
    guard lora.overrides.isEmpty, !lora.hasBias, lora.tunedTensors.isEmpty else {
      throw refuse("`adapters` has one rank and one alpha for all maps, and trains nothing beside them.")
    }
    let letters: [Site.Role: String] = [.query: "q", .key: "k", .value: "v"]
    let roles = Set(sites.map(\.role))
    let known: [Site.Role] = [.query, .key, .value, .fc1, .fc2]
    if let other = sites.first(where: { !known.contains($0.role) }) {
      throw refuse("`adapters` adapts query, key, value, fc1 and fc2, and '\(other.name)' is none of them.")
    }
    guard sites.count == roles.count * blocks else {
      throw refuse("`adapters` adapts the same maps in each block that it does not leave out.")
    }
    return [
      "alpha": PEFTPatterns.number(lora.scale * Double(lora.rank)), "architecture": "lora",
      "attn_matrices": .array(known.compactMap { roles.contains($0) ? letters[$0] : nil }.map { .string($0) }),
      "composition_mode": "add", "dropout": .double(lora.dropout), "dtype": nil, "init_weights": "lora",
      "init_weights_seed": nil, "intermediate_lora": .bool(roles.contains(.fc1)), "leave_out": [],
      "output_lora": .bool(roles.contains(.fc2)), "r": .integer(lora.rank),
      "selfattn_lora": .bool(!roles.isDisjoint(with: letters.keys)), "use_dora": false, "use_gating": false,
      "vera_b": nil, "vera_d": nil,
    ]
  }

  // MARK: Bottlenecks

  private static let activations: [(name: String, ours: Bottleneck.Activation)] = [
    ("relu", .relu), ("gelu", .gelu), ("quick_gelu", .quickGELU), ("swish", .swish), ("silu", .swish),
  ]

  /// The method that these settings are, on a stream of this width.
  ///
  /// What is left of the settings is what the bottleneck reads: `y`, the stream behind the sum `x + y` (`original_ln_before`),
  /// or `x` (`is_parallel`). In BERT a LayerNorm stands behind the sum, which the stream then has passed.
  ///
  /// - Parameter normalizesAfter: whether the backbone's LayerNorms follow the sums.
  func bottleneck(streamWidth: Int, normalizesAfter: Bool) throws -> any AdapterConfiguration {
    for field in ["ln_before", "ln_after", "use_gating", "cross_adapter", "phm_layer", "adapter_residual_before_ln"] {
      try require(field, false)
    }
    try require("inv_adapter", nil)
    guard let activation = Self.activations.first(where: { $0.name == fields["non_linearity"]?.string })?.ours else {
      throw try refusal("non_linearity", "relu, gelu, quick_gelu and swish are read.")
    }
    let width = try hiddenUnits(streamWidth)
    let (readsSum, addsStream) = (try flag("original_ln_before", false), try flag("original_ln_after", true))
    let keepsOutput = try flag("residual_before_ln", true)
    // x + y + Ad: either y stays beside Ad and x is added at the end, or x + y stays and nothing is added.
    let isParallel = try flag("is_parallel", false)
    guard isParallel ? addsStream : (keepsOutput && addsStream) || (!keepsOutput && readsSum && !addsStream) else {
      throw try refusal(
        "residual_before_ln", "with its original_ln_before and original_ln_after the stream is not kept.")
    }
    guard addsStream || !normalizesAfter else {
      throw try refusal("original_ln_after", "no method here leaves out the LayerNorm behind the sum.")
    }
    let places = (try flag("mh_adapter", false), try flag("output_adapter", true))
    let scale = fields["scaling"] ?? 1.0
    switch (isParallel, places, readsSum, scale) {
    case (true, (false, true), _, _):
      var adapter = ParallelAdapter(width: width)
      adapter.input = .stream
      adapter.activation = activation
      adapter.learnsScale = scale == "learned"
      if !adapter.learnsScale { adapter.scale = try number("scaling") }
      return adapter
    case (false, (false, true), true, "channel"):
      var adapter = AdapterPlus(width: width)
      adapter.activation = activation
      adapter.dropPath = try rate("stochastic_depth")
      return adapter
    case (false, (false, true), _, _):
      var adapter = Pfeiffer(width: width)
      adapter.input = readsSum ? .sum : .output
      adapter.activation = activation
      adapter.scale = try number("scaling")
      return adapter
    case (false, (true, true), false, _):
      var adapter = Houlsby(width: width)
      adapter.activation = activation
      adapter.scale = try number("scaling")
      return adapter
    default:
      throw AdapterFolderError.unsupported(
        folder,
        "its bottlenecks stand where no method here has them (mh_adapter, output_adapter, is_parallel, original_ln_before)."
      )
    }
  }

  private func hiddenUnits(_ streamWidth: Int) throws -> Int {
    var factor = fields["reduction_factor"] ?? .null
    if let members = factor.object?.members {
      guard let first = members.first?.value, members.allSatisfy({ $0.value == first }) else {
        throw try refusal("reduction_factor", "one for all blocks is read.")
      }
      factor = first
    }
    guard let factor = factor.double, factor > 0, factor.isFinite else {
      throw try refusal("reduction_factor", "a number above 0 is wanted.")
    }
    let width = (Double(streamWidth) / factor).rounded(.down)
    guard width <= 65_536 else { throw try refusal("reduction_factor", "that many hidden units are not supported.") }
    return max(1, Int(width))
  }

  static func fields(
    _ configuration: any AdapterConfiguration, streamWidth: Int, normalizesAfter: Bool
  ) throws -> JSONObject {
    let (width, activation): (Int?, Bottleneck.Activation)
    var (scaling, attention, reads, depth): (JSONValue, Bool, Bottleneck.Input, Double) = (1.0, false, .output, 0)
    // Their dropout is on the module's output, ours on its hidden units: neither says what the other does.
    switch configuration {
    case let adapter as Houlsby:
      (width, activation, attention) = (adapter.width, adapter.activation, true)
      scaling = .double(adapter.scale)
    case let adapter as Pfeiffer:
      (width, activation) = (adapter.width, adapter.activation)
      reads = adapter.input ?? (normalizesAfter ? .sum : .output)
      scaling = .double(adapter.scale)
    case let adapter as ParallelAdapter:
      (width, activation, reads) = (adapter.width, adapter.activation, adapter.input)
      scaling = adapter.learnsScale ? "learned" : .double(adapter.scale)
    case let adapter as AdapterPlus:
      guard !normalizesAfter else {
        throw AdapterFolderError.notWritable(
          .adapterHub, "its Adapter+ leaves out the LayerNorm behind the sum, which this one does not.")
      }
      (width, activation, reads, depth) = (adapter.width, adapter.activation, .sum, adapter.dropPath)
      scaling = "channel"
    default:
      throw AdapterFolderError.notWritable(
        .adapterHub, "`adapters` has no method \(type(of: configuration).method.lowercased()).")
    }
    guard reads != .branch, configuration is ParallelAdapter || reads != .stream else {
      throw AdapterFolderError.notWritable(
        .adapterHub,
        "there a bottleneck reads the residual stream or the branch's output, and this one reads '\(reads.rawValue)'.")
    }
    let isPlus = configuration is AdapterPlus
    let hidden = width ?? max(1, streamWidth / 16)
    return [
      "adapter_residual_before_ln": false, "cross_adapter": false, "dropout": 0.0,
      "factorized_phm_W": true, "factorized_phm_rule": false, "hypercomplex_nonlinearity": "glorot-uniform",
      "init_weights": "bert", "init_weights_seed": nil, "inv_adapter": nil, "inv_adapter_reduction_factor": nil,
      "is_parallel": .bool(configuration is ParallelAdapter), "learn_phm": true, "leave_out": [], "ln_after": false,
      "ln_before": false, "mh_adapter": .bool(attention),
      "non_linearity": .string(activations.first { $0.ours == activation }?.name ?? ""),
      "original_ln_after": .bool(!isPlus), "original_ln_before": .bool(reads == .sum), "output_adapter": true,
      "phm_bias": true, "phm_c_init": "normal", "phm_dim": 4, "phm_init_range": 0.0001, "phm_layer": false,
      "phm_rank": 1, "reduction_factor": reduction(streamWidth, to: hidden), "residual_before_ln": .bool(!isPlus),
      "scaling": scaling, "shared_W_phm": false, "shared_phm_rule": true, "stochastic_depth": .double(depth),
      "use_gating": false,
    ]
  }

  /// The factor for which `width // factor` is `hidden`, whatever the quotient is rounded to.
  private static func reduction(_ width: Int, to hidden: Int) -> JSONValue {
    width % hidden == 0 ? .integer(width / hidden) : .double(Double(width) / (Double(hidden) + 0.5))
  }
}
