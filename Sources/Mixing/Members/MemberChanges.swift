import Adapters
import NeuralNetworks
import Tensors

/// What several adapters change of their backbone, place by place: the changes `ΔW` of linear maps, whatever made them, and
/// the differences of tensors that are tuned themselves. Nothing dense is made until it is asked for.
struct MemberChanges {
  let members: [MixMember]
  let backbone: any Backbone
  /// The linear maps that any member changes, in the backbone's order: parts of a map where all who change it change parts.
  let sites: [Site]
  /// The other tensors that any member changes, biases of linear maps among them, in the backbone's order.
  let tensors: [(name: String, original: Tensor)]
  private let originals: [String: Tensor]
  private let maps: [String: Site]

  /// - Throws: `MixtureError.notLinear` for a member whose change depends on the input.
  init(_ members: [MixMember], of backbone: any Backbone) throws {
    self.members = members
    self.backbone = backbone
    originals = Dictionary(backbone.tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
    maps = Dictionary(backbone.sites.map { ($0.name, $0) }) { first, _ in first }
    let tuned = members.map { Set($0.model.adapter.tunedTensors) }
    var sites: [Site] = []
    var changed = tuned.reduce(into: Set<String>()) { $0.formUnion($1) }
    for site in backbone.sites {
      let weight = "\(site.name).weight"
      changed.remove(weight)
      let wholly = zip(members, tuned).contains { $0.model.adapter.corrects(whole: site) || $1.contains(weight) }
      let adapted = site.parts.filter { part in members.contains { $0.model.adapter.corrects(whole: part) } }
      guard wholly || !adapted.isEmpty else { continue }
      sites += wholly ? [site] : adapted
      // A bias that a correction adds is one of the map's own tensors from here on.
      for member in members {
        guard member.model.adapter.corrects(whole: site) || !adapted.isEmpty else { continue }
        guard try member.model.adapter.delta(of: backbone.linear(at: site))?.bias != nil else { continue }
        let bias = "\(site.name).bias"
        guard originals[bias] != nil else { throw MixtureError.noBias(site.name, member: member.name) }
        changed.insert(bias)
      }
    }
    self.sites = sites
    tensors = backbone.tensors.filter { changed.contains($0.name) }.map { ($0.name, $0.tensor) }
    for member in members { try check(member) }
  }

  private func check(_ member: MixMember) throws {
    let adapter = member.model.adapter
    let method = type(of: adapter.configuration).method.lowercased()
    if let place = adapter.placeBesideMaps {
      throw MixtureError.notLinear(member.name, method: method, place: place)
    }
    for site in adapter.sites where adapter.corrects(whole: site) {
      guard try adapter.delta(of: backbone.linear(at: site)) == nil else { continue }
      throw MixtureError.notLinear(member.name, method: method, place: site.name)
    }
  }

  /// What a member changes of a map; nil where it leaves it alone.
  func change(of site: Site, by member: Int) throws -> (any WeightDelta)? {
    let adapter = members[member].model.adapter
    let corrected = try adapter.delta(of: backbone.linear(at: site))?.weight
    let name = "\(site.whole?.name ?? site.name).weight"
    guard adapter.tunedTensors.contains(name), let original = originals[name] else { return corrected }
    let rows = site.whole?.rows ?? 0..<original.shape[0]
    let tuned = try adapter.value(of: name, original: original).detached()
    let difference = DenseDelta(try (tuned - original).narrowed(0, rows))
    return try corrected.map { try SumDelta([(1, $0), (1, difference)]) } ?? difference
  }

  /// What a member changes of another tensor; nil where it leaves it alone.
  func change(of tensor: String, by member: Int) throws -> Tensor? {
    let adapter = members[member].model.adapter
    guard let original = originals[tensor] else { return nil }
    var change: Tensor?
    if adapter.tunedTensors.contains(tensor) {
      change = try adapter.value(of: tensor, original: original).detached() - original
    }
    if tensor.hasSuffix(".bias"), let site = maps[String(tensor.dropLast(".bias".count))] {
      if let shift = try adapter.delta(of: backbone.linear(at: site))?.bias?.detached() {
        change = try change.map { try $0 + shift } ?? shift
      }
    }
    return change
  }
}
