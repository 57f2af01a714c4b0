import Formats
import NeuralNetworks
import Tensors

/// Tensors of the backbone that train whole beside an update: PEFT's `bias` and `modules_to_save`.
struct TunedTensors {
  enum Bias: String {
    case none
    /// Of the adapted maps.
    case adapted = "lora_only"
    case all
  }

  /// By our names, in the backbone's order.
  let names: [String]
  let bias: Bias
  /// Paths of the modules that are saved whole.
  let saved: [String]
  private let modules: PEFTModules
  private let targets: Set<String>

  /// What an adapter of PEFT trains.
  init(_ file: PEFTConfiguration, _ maps: [PEFTModules.Map], in modules: PEFTModules) throws {
    guard let bias = Bias(rawValue: file.json["bias"]?.string ?? "none") else {
      throw AdapterFolderError.setting(
        file.folder, field: "bias", value: try file.json["bias"]?.text() ?? "missing",
        reason: "none, lora_only or all is wanted.")
    }
    self.modules = modules
    self.bias = bias
    targets = Set(maps.map(\.target))
    let saved = modules.holders.filter { holder in file.modulesToSave.contains { holder.target.hasSuffix($0) } }
    self.saved = saved.map(\.target)
    let wanted = Set(
      Self.biases(bias, targets: targets, in: modules) + saved.flatMap { ["\($0.ours).weight", "\($0.ours).bias"] })
    names = Self.tensors(in: modules).filter(wanted.contains)
  }

  /// What of PEFT's fields stands for these tensors.
  ///
  /// - Throws: `AdapterFolderError.notWritable` for a tensor that PEFT would not save alone.
  init(_ names: [String], targets: Set<String>, in modules: PEFTModules) throws {
    self.names = names
    self.targets = targets
    self.modules = modules
    let wanted = Set(names)
    let known = Set(Self.tensors(in: modules))
    bias =
      [.all, .adapted].first { bias in
        let biases = Self.biases(bias, targets: targets, in: modules).filter(known.contains)
        return !biases.isEmpty && wanted.isSuperset(of: Self.parted(biases, in: modules, as: wanted))
      } ?? .none
    let covered = Self.parted(
      Self.biases(bias, targets: targets, in: modules).filter(known.contains), in: modules, as: wanted)
    var rest = wanted.subtracting(covered)
    var saved: [String] = []
    for holder in modules.holders where !targets.contains(holder.target) {
      let own = ["\(holder.ours).weight", "\(holder.ours).bias"].filter(known.contains)
      guard !own.isEmpty, own.contains(where: rest.contains) else { continue }
      guard own.allSatisfy(wanted.contains) else {
        throw AdapterFolderError.notWritable(
          .peft,
          "PEFT saves a module whole, and of '\(holder.target)' only one of \(own.joined(separator: ", ")) trains.")
      }
      saved.append(holder.target)
      rest.subtract(own)
    }
    guard let left = rest.sorted().first else {
      self.saved = saved
      return
    }
    throw AdapterFolderError.notWritable(.peft, "PEFT cannot train '\(left)' beside LoRA.")
  }

  /// The tensors in PEFT's names.
  func groups(_ adapter: Adapter) throws -> [FileGroup] {
    let parameters = Dictionary(adapter.parameters.map { ($0.name, $0) }) { first, _ in first }
    let holders = Dictionary(modules.holders.map { ($0.ours, $0) }) { first, _ in first }
    return try names.map { name in
      guard let parameter = parameters[name], let dot = name.lastIndex(of: ".") else {
        throw AdapterError.unknown("parameter", name, known: parameters.keys.sorted())
      }
      let (module, kind) = (String(name[..<dot]), name[dot...])
      func file(_ holder: (ours: String, target: String, map: PEFTModules.Map?)) -> String {
        let wrapped = holder.map.map { targets.contains($0.target) } ?? false
        return "\(PEFTKey.prefix)\(holder.map?.key ?? holder.target)\(wrapped ? ".base_layer" : "")\(kind)"
      }
      if let holder = holders[module] { return FileGroup(file(holder), parameter) }
      // A whole map whose parts the file has apart.
      let parts = modules.backbone.sites.first { $0.name == module }?.parts ?? []
      let rows = parts.compactMap(\.whole?.rows)
      let files = parts.compactMap { holders[$0.name].map(file) }
      guard !files.isEmpty, files.count == rows.count else {
        throw AdapterFolderError.notWritable(.peft, "PEFT cannot train '\(name)' alone: its file has a larger map.")
      }
      return FileGroup(files, rows.map { [$0.count] + parameter.value.shape.dropFirst() }) {
        try rows.map { try parameter.value.detached().narrowed(0, $0).contiguous() }
      } read: { tensors in
        try parameter.load(.concatenated(tensors))
      }
    }
  }

  /// The biases that a setting stands for. PEFT trains that of `nn.MultiheadAttention`'s fused map, but does not save it.
  private static func biases(_ bias: Bias, targets: Set<String>, in modules: PEFTModules) -> [String] {
    let holders = modules.holders.filter { $0.map.map { !$0.isFusedAttention } ?? true }
    switch bias {
    case .none: return []
    case .adapted: return holders.filter { $0.map != nil && targets.contains($0.target) }.map { "\($0.ours).bias" }
    case .all: return holders.map { "\($0.ours).bias" }
    }
  }

  /// Biases of three parts as that of their whole, where that one is wanted.
  private static func parted(_ names: [String], in modules: PEFTModules, as wanted: Set<String>) -> Set<String> {
    var names = Set(names)
    for site in modules.backbone.sites {
      let parts = Set(site.parts.map { "\($0.name).bias" })
      if !parts.isEmpty, wanted.contains("\(site.name).bias"), names.isSuperset(of: parts) {
        names.subtract(parts)
        names.insert("\(site.name).bias")
      }
    }
    return names
  }

  /// Every tensor of the modules, by our names.
  private static func tensors(in modules: PEFTModules) -> [String] {
    let known = Set(modules.backbone.tensors.map(\.name))
    return modules.holders.flatMap { holder in
      let name = holder.map?.site.whole?.name ?? holder.ours
      return ["weight", "bias"].filter { known.contains("\(name).\($0)") }.map { "\(holder.ours).\($0)" }
    }
  }
}
