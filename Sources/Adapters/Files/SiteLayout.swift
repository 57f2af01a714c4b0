import NeuralNetworks
import Tensors

/// How the tensors of a method on linear maps lie in a file.
struct SiteLayout {
  private(set) var groups: [FileGroup] = []
  /// The file's modules with their ranks and scales.
  private(set) var modules: [Module] = []

  struct Module {
    let map: PEFTModules.Map
    let rank: Int
    let scale: Double
  }

  private let parameters: [String: Parameter]
  private let slots: (Site) -> [SiteSlot]
  private let strength: (Site) -> (rank: Int, scale: Double)

  /// - Parameters:
  ///   - slots: what the method has at a site.
  ///   - strength: the rank and the scale at a site; 1 and 1 for a method that has neither.
  ///   - name: the name of a tensor of the file.
  /// - Throws: `AdapterFolderError.notWritable` where the file's modules cannot hold what the method has.
  init(
    _ adapter: Adapter, in modules: PEFTModules, format: AdapterFormat = .peft, slots: @escaping (Site) -> [SiteSlot],
    strength: @escaping (Site) -> (rank: Int, scale: Double) = { _ in (1, 1) },
    name: (PEFTModules.Map, SiteSlot) -> String = { "\(PEFTKey.prefix)\($0.key).\($1.theirs)" }
  ) throws {
    parameters = Dictionary(adapter.parameters.map { ($0.name, $0) }) { first, _ in first }
    self.slots = slots
    self.strength = strength
    var stacked: Set<String> = []
    for site in adapter.sites {
      let maps = modules.maps(at: site)
      if maps.count == 1 {
        try addWhole(site, as: maps[0], times: modules.updatesInsideAttention, name)
      } else if !maps.isEmpty {
        try addDivided(site, into: maps, format, name)
      } else if let whole = modules.whole(of: site) {
        guard stacked.insert(whole.site.name).inserted else { continue }
        let parts = adapter.sites.filter { $0.whole?.name == whole.site.name }.sorted {
          ($0.whole?.rows.lowerBound ?? 0) < ($1.whole?.rows.lowerBound ?? 0)
        }
        try addStacked(parts, as: whole, linear: modules.backbone.linear(at: whole.site), format, name)
      } else {
        throw AdapterFolderError.notWritable(format, "'\(site.name)' has no module of its own in \(modules.names).")
      }
    }
  }

  mutating func add(_ group: FileGroup) { groups.append(group) }

  private func parameter(_ site: Site, _ slot: SiteSlot) throws -> Parameter {
    guard let parameter = parameters["\(site.name).\(slot.ours)"] else {
      throw AdapterError.unknown("parameter", "\(site.name).\(slot.ours)", known: parameters.keys.sorted())
    }
    return parameter
  }

  private mutating func addWhole(
    _ site: Site, as map: PEFTModules.Map, times updates: Double, _ name: (PEFTModules.Map, SiteSlot) -> String
  ) throws {
    for slot in slots(site) {
      let parameter = try parameter(site, slot)
      guard map.isInsideAttention, case .rows = slot.extent else {
        groups.append(FileGroup(name(map, slot), parameter))
        continue
      }
      groups.append(
        FileGroup([name(map, slot)], [parameter.value.shape]) {
          [try Self.times(parameter.value.detached(), 1 / updates)]
        } read: { tensors in
          try parameter.load(Self.times(tensors[0], updates))
        })
    }
    let (rank, scale) = strength(site)
    modules.append(Module(map: map, rank: rank, scale: scale))
  }

  /// One map of ours as three of the file.
  private mutating func addDivided(
    _ site: Site, into maps: [PEFTModules.Map], _ format: AdapterFormat, _ name: (PEFTModules.Map, SiteSlot) -> String
  ) throws {
    let rows = maps.compactMap(\.site.whole?.rows)
    for slot in slots(site) {
      let parameter = try parameter(site, slot)
      let shape = parameter.value.shape
      let names = maps.map { name($0, slot) }
      switch slot.extent {
      case .ranks:
        groups.append(
          FileGroup(names, maps.map { _ in shape }) {
            try maps.map { _ in try parameter.value.detached() }
          } read: { tensors in
            guard try tensors.allSatisfy({ try $0.isEqual(to: tensors[0]) }) else {
              throw AdapterFolderError.tensor(
                names[0], "it and \(names.dropFirst().joined(separator: ", ")) differ.")
            }
            try parameter.load(tensors[0])
          })
      case .rows, .outputs:
        groups.append(
          FileGroup(names, rows.map { [$0.count] + shape.dropFirst() }) {
            try rows.map { try parameter.value.detached().narrowed(0, $0).contiguous() }
          } read: { tensors in
            try parameter.load(.concatenated(tensors))
          })
      case .indivisible:
        throw AdapterFolderError.notWritable(
          format,
          """
          its file has queries, keys and values of '\(site.name)' apart, and '\(slot.ours)' does not divide among them. \
          Adapt \(site.parts.map(\.role.rawValue).joined(separator: ", ")) instead.
          """)
      }
    }
    let (rank, scale) = strength(site)
    modules += maps.map { Module(map: $0, rank: rank, scale: scale) }
  }

  /// Parts of ours as one map of the file: ranks add up, and the rows of each part use its own.
  private mutating func addStacked(
    _ parts: [Site], as map: PEFTModules.Map, linear: Linear, _ format: AdapterFormat,
    _ name: (PEFTModules.Map, SiteSlot) -> String
  ) throws {
    let strengths = parts.map(strength)
    let ranks = strengths.map(\.rank)
    let total = ranks.reduce(0, +)
    let columns = ranks.indices.map { ranks[..<$0].reduce(0, +)..<ranks[...$0].reduce(0, +) }
    let rows = parts.compactMap(\.whole?.rows)
    let height = map.site.outFeatures
    let scale = strengths.first?.scale ?? 1
    // A file has one scale for a module; what a part has more or less goes into its rows.
    let factors = strengths.map { $0.scale == scale ? 1 : $0.scale / scale }
    guard factors.allSatisfy({ $0.isFinite && $0 != 0 }) else {
      throw AdapterFolderError.notWritable(
        format, "of '\(map.site.name)' one part has the scale 0 and another has not.")
    }
    for slot in slots(parts[0]) {
      let values = try parts.map { try parameter($0, slot) }
      let file = name(map, slot)
      switch slot.extent {
      case .ranks:
        groups.append(
          FileGroup([file], [[total, map.site.inFeatures]]) {
            [try .concatenated(values.map { try $0.value.detached() })]
          } read: { tensors in
            for (value, columns) in zip(values, columns) { try value.load(tensors[0].narrowed(0, columns)) }
          })
      case .rows:
        groups.append(
          FileGroup([file], [[height, total]]) {
            let stacked = try Tensor.zeros([height, total], dtype: values[0].value.dtype)
            for index in values.indices {
              try stacked.narrowed(0, rows[index]).narrowed(1, columns[index]).copyInPlace(
                Self.times(values[index].value.detached(), factors[index]))
            }
            return [stacked]
          } read: { tensors in
            let rest = try tensors[0].clone()
            for index in values.indices {
              let block = try tensors[0].narrowed(0, rows[index]).narrowed(1, columns[index])
              try values[index].load(Self.times(block, 1 / factors[index]))
              try rest.narrowed(0, rows[index]).narrowed(1, columns[index]).fillInPlace(0)
            }
            guard try rest.abs().max().item() == 0 else {
              throw AdapterFolderError.tensor(file, "it changes outputs that the adapter does not.")
            }
          })
      case .outputs(let scaled, let unchanged):
        let shape = [height] + values[0].value.shape.dropFirst()
        groups.append(
          FileGroup([file], [shape]) {
            let whole = try unchanged(linear).reshaped(shape).clone()
            for index in values.indices {
              let value = try Self.times(values[index].value.detached(), scaled ? factors[index] : 1)
              try whole.narrowed(0, rows[index]).copyInPlace(value)
            }
            return [whole]
          } read: { tensors in
            let rest = try tensors[0].to(.float32).clone()
            for index in values.indices {
              let own = try tensors[0].narrowed(0, rows[index])
              try values[index].load(Self.times(own, scaled ? 1 / factors[index] : 1))
              try rest.narrowed(0, rows[index]).copyInPlace(
                unchanged(linear).reshaped(shape).narrowed(0, rows[index]))
            }
            guard try rest.isClose(to: unchanged(linear).reshaped(shape), tolerance: 1e-5, relative: 1e-5) else {
              throw AdapterFolderError.tensor(file, "it changes outputs that the adapter does not.")
            }
          })
      case .indivisible:
        throw AdapterFolderError.notWritable(
          format,
          """
          its file has one map for queries, keys and values, '\(map.site.name)', and '\(slot.ours)' of a part is none of \
          the whole. Adapt the whole map instead.
          """)
      }
    }
    modules.append(Module(map: map, rank: total, scale: scale))
  }

  private static func times(_ tensor: Tensor, _ factor: Double) throws -> Tensor {
    factor == 1 ? tensor : try tensor * factor
  }
}
