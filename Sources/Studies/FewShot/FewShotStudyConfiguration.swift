import Datasets
import MetaTuning
import NeuralNetworks
import Training

/// What a few-shot study measures.
public struct FewShotStudyConfiguration: Sendable, Hashable {
  /// Data sets that networks are meta-tuned on; tested on classes of theirs that were not.
  public var training: [String]
  /// Data sets that nothing is meta-tuned on.
  public var unseen: [String]
  /// Each pretrains, meta-tunes and draws episodes.
  public var seeds: [UInt64] = [0, 1, 2]
  public var testEpisodes = EpisodeSettings.fixed(ways: 5, shots: 5, queries: 5)
  /// Test episodes of each data set.
  public var testCount = 100
  /// Episodes of each training data set's validation classes, by which rates and scales are chosen.
  public var validationCount = 40
  /// The method that others are compared with at the same rate.
  public var reference = ""

  public init(training: [String], unseen: [String]) {
    self.training = training
    self.unseen = unseen
  }
}

/// A way of meta-tuning, at several rates, tested at several scales of what it learned.
public struct FewShotMethod: Sendable, Hashable {
  public var name: String
  public var configuration: MetaConfiguration
  /// Learning rates of the offset of the weights.
  public var rates: [Double]
  /// What the offset is multiplied by in tests; 1 is what was trained.
  public var scales: [Double]

  public init(_ name: String, _ configuration: MetaConfiguration, rates: [Double], scales: [Double] = [1]) {
    self.name = name
    self.configuration = configuration
    self.rates = rates
    self.scales = scales
  }
}

/// A network that is meta-tuned.
public struct FewShotNetwork: Sendable {
  public enum Source: Sendable {
    case pretrained(any PretrainedNetwork)
    /// Trained from nothing, with supervision, for each seed.
    case pretraining(Pretraining)
  }

  /// Supervised classification of the training classes of some data sets.
  public struct Pretraining: Sendable, Hashable {
    public var network: UntrainedVisionTransformer
    public var datasets: [String]
    /// Its seed and the steps between evaluations are the study's.
    public var recipe: TrainingConfiguration

    public init(_ network: UntrainedVisionTransformer, on datasets: [String], recipe: TrainingConfiguration) {
      self.network = network
      self.datasets = datasets
      self.recipe = recipe
    }
  }

  public var name: String
  public var source: Source
  /// Pixels along each side.
  public var imageSize: Int
  /// How it is meta-tuned; with names of their own.
  public var methods: [FewShotMethod]

  public init(_ name: String, _ source: Source, imageSize: Int, methods: [FewShotMethod]) {
    self.name = name
    self.source = source
    self.imageSize = imageSize
    self.methods = methods
  }
}
