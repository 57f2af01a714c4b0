import Adapters
import Mixing
import NeuralNetworks
import Tensors
import Training

/// The trained adapters of one kind and seed, as numbers, with their classifiers, and an adapter to put a mixture into.
struct StudyMembers: Sendable {
  /// One for each domain.
  let vectors: [AdapterVector]
  let heads: [Head]
  /// What all of them started from.
  let initial: AdapterVector
  /// Takes the numbers of a mixture.
  let carrier: Adapter

  /// - Parameter models: one for each domain, of one kind and initialisation, with their classifiers.
  init(_ models: [AdaptedModel], kind: StudyKind) throws {
    let backbone = models[0].backbone
    heads = try models.map { model in
      guard let head = model.head else { throw ModelError.noHead }
      return head
    }
    let first = models[0].adapter
    guard let start = try first.initial(of: backbone) else { throw MixingError.noInitial(kind.name) }
    switch kind.space {
    case .factors:
      vectors = try models.map { try AdapterVector($0.adapter) }
      initial = try AdapterVector(start)
      // The start's own parameters are copied out above, and free.
      carrier = start
    case .peftFactors, .outputs:
      throw StudyError.range(setting: "space", value: kind.space.rawValue, allowed: "factors or delta")
    case .delta:
      let carrier = try Adapter(unseeded: DeltaTuning(), at: first.sites, of: backbone)
      self.carrier = carrier
      vectors = try models.map { try Self.changes(of: $0.adapter, on: backbone, in: AdapterLayout(carrier), kind) }
      initial = try Self.changes(of: start, on: backbone, in: AdapterLayout(carrier), kind)
      for model in models {
        if let place = model.adapter.tunedTensors.first ?? model.adapter.placeBesideMaps {
          throw StudyError.besideMaps(kind: kind.name, place: place)
        }
      }
    }
  }

  /// The ΔW of an adapter at each of its sites, in their order.
  private static func changes(
    of adapter: Adapter, on backbone: any Backbone, in layout: AdapterLayout, _ kind: StudyKind
  ) throws -> AdapterVector {
    var values: [Float] = []
    values.reserveCapacity(layout.count)
    try withoutGradients {
      for site in adapter.sites {
        guard let change = try adapter.delta(of: backbone.linear(at: site)), change.bias == nil,
          let weight = change.weight
        else { throw StudyError.noChange(kind: kind.name, site: site.name) }
        values += try weight.to(.float32).materialized().floats()
      }
    }
    return try AdapterVector(layout, values)
  }

  func signs(_ reference: SignReference) throws -> SignStatistics {
    try SignStatistics(
      vectors, initial: reference == .delta ? vectors.map { _ in initial } : nil,
      options: SignOptions(reference: reference))
  }
}
