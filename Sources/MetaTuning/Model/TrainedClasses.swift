import Datasets

/// The classes that a model was trained on, and those that its state was chosen by: what no test of it may hold.
public struct TrainedClasses: Sendable, Hashable {
  /// Ordered by name.
  public private(set) var datasets: [Dataset]

  public struct Dataset: Sendable, Hashable, Codable {
    public let name: String
    /// Names of the classes that training episodes were drawn from, ordered.
    public fileprivate(set) var training: [String]
    /// Names of the classes that validation episodes were drawn from, ordered.
    public fileprivate(set) var validation: [String]
  }

  /// The classes that episodes can have; those that a sampler left out were not seen.
  public init(training: EpisodeSampler, validation: [EpisodeSampler] = []) {
    datasets = []
    add([training], to: \.training)
    add(validation, to: \.validation)
  }

  init(_ datasets: [Dataset]) { self.datasets = datasets }

  private mutating func add(_ samplers: [EpisodeSampler], to classes: WritableKeyPath<Dataset, [String]>) {
    for sampler in samplers {
      for pool in sampler.pools {
        let leftOut = Set(sampler.leftOut.filter { $0.pool == pool.name }.map(\.name))
        add(pool.classes.map(\.name).filter { !leftOut.contains($0) }, of: pool.name, to: classes)
      }
    }
  }

  private mutating func add(_ names: [String], of dataset: String, to classes: WritableKeyPath<Dataset, [String]>) {
    if !datasets.contains(where: { $0.name == dataset }) {
      datasets.append(Dataset(name: dataset, training: [], validation: []))
      datasets.sort { $0.name < $1.name }
    }
    for index in datasets.indices where datasets[index].name == dataset {
      datasets[index][keyPath: classes] = Set(datasets[index][keyPath: classes] + names).sorted()
    }
  }

  /// These and those of another run, for a model that trained twice.
  public func union(_ other: TrainedClasses?) -> TrainedClasses {
    var union = self
    for dataset in other?.datasets ?? [] {
      union.add(dataset.training, of: dataset.name, to: \.training)
      union.add(dataset.validation, of: dataset.name, to: \.validation)
    }
    return union
  }

  /// The data sets that classes were trained on: those that are in domain.
  public var inDomain: Set<String> { Set(datasets.filter { !$0.training.isEmpty }.map(\.name)) }

  /// The classes of a pool that were trained on or chosen by, in the pool's order: of a data set of the pool's name.
  public func seen(in pool: EpisodePool) -> [String] {
    guard let own = datasets.first(where: { $0.name == pool.name }) else { return [] }
    let known = Set(own.training + own.validation)
    return pool.classes.map(\.name).filter(known.contains)
  }
}
