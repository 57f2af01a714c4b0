/// A tensor's name in PEFT's files: `base_model.model.` MODULE `.lora_A.weight`.
///
/// MODULE is the path in whatever network was wrapped; nothing here knows which. `base_layer` stands in a path where PEFT
/// has wrapped a module that a tensor lies inside of, and says nothing about the network.
struct PEFTKey: Hashable {
  static let prefix = "base_model.model."

  let name: String
  /// As the network calls it, without `base_layer`.
  let module: String
  let slot: Slot
  /// Whether PEFT has wrapped a module around this one.
  let isInsideWrapped: Bool

  enum Slot: Hashable {
    /// A tensor that the method adds, under PEFT's name for it: `lora_A.weight`, `hada_w1_a`, `ia3_l` …
    case added(String)
    /// The module's own `weight` or `bias`, trained or saved whole.
    case own(String)
  }

  /// What methods add to a module.
  private static let added: [String] = [
    "lora_A.weight", "lora_B.weight", "lora_B.bias", "lora_magnitude_vector", "lora_embedding_A", "lora_embedding_B",
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b",
    "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2", "ia3_l", "ln_tuning_layers.weight", "ln_tuning_layers.bias",
  ]

  /// Nil for a name of another form.
  init?(_ name: String) {
    guard name.hasPrefix(Self.prefix) else { return nil }
    let path = name.dropFirst(Self.prefix.count)
    var module: Substring
    if let slot = Self.added.first(where: { path.hasSuffix(".\($0)") }) {
      self.slot = .added(slot)
      module = path.dropLast(slot.count + 1)
    } else if let slot = ["weight", "bias"].first(where: { path.hasSuffix(".\($0)") }) {
      self.slot = .own(slot)
      module = path.dropLast(slot.count + 1)
      if module.hasSuffix(".base_layer") { module = module.dropLast(".base_layer".count) }
    } else {
      return nil
    }
    let components = module.split(separator: ".", omittingEmptySubsequences: false)
    guard !components.contains(where: \.isEmpty) else { return nil }
    self.name = name
    self.module = components.filter { $0 != "base_layer" }.joined(separator: ".")
    isInsideWrapped = components.contains("base_layer")
  }
}
