import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Training

/// What is done with a task's network between its merge and its queries.
public enum TestMode: Sendable {
  /// Nothing: prototypes of the support, and the nearest one for each query.
  case gradientFree
  /// Every weight is tuned on the support, from the task's merged weights on.
  case fullFineTuning(FineTuning)
  /// A fresh adapter is trained on the support, over the task's merged weights, which stay.
  case adapter(Method, FineTuning)

  /// LoRA on queries and values as SMAT's authors train it on a task: rank 8, α 32, dropout 0.1, a rate searched among ten times
  /// those of full fine-tuning.
  public static func lora(_ tuning: FineTuning = .ofAdapter) -> TestMode {
    .adapter(Method("LoRA", LoRA(rank: 8, alpha: 32, dropout: 0.1), at: .queryAndValue), tuning)
  }

  var fineTuning: FineTuning? {
    switch self {
    case .gradientFree: nil
    case .fullFineTuning(let tuning), .adapter(_, let tuning): tuning
    }
  }

  /// For tables.
  public var name: String {
    switch self {
    case .gradientFree: "gradient-free"
    case .fullFineTuning: "full fine-tuning"
    case .adapter(let method, _): method.name
    }
  }

  /// What is tuned, with every setting that it has, and how; nil where nothing is.
  var tuning: String? {
    get throws {
      switch self {
      case .gradientFree: nil
      case .fullFineTuning(let tuning): "all weights, \(tuning.summary)"
      case .adapter(let method, let tuning): "\(try method.summary), \(tuning.summary)"
      }
    }
  }
}

extension Method {
  /// `LoRA on query, value (alpha 32, dropout 0.1, rank 8)`. What is off, or empty, is left out.
  fileprivate var summary: String {
    get throws {
      let settings = try adapter.settings().members.compactMap { key, value -> String? in
        switch value {
        case .null, .bool(false): nil
        case .bool(true): key
        case .double(let number): "\(key) \(number.shown)"
        case .string(let text): "\(key) \(text)"
        case .array(let values) where values.isEmpty: nil
        case .object(let object) where object.members.isEmpty: nil
        default: "\(key) \(try value.text())"
        }
      }
      var places: [String] = []
      if case .linearMaps(let usual, let usualBlocks) = type(of: adapter).placement {
        let blocks = blocks ?? usualBlocks
        places = ["on \(targets ?? usual)"] + (blocks == .all ? [] : ["in blocks: \(blocks)"])
      } else if let blocks {
        places = ["in blocks: \(blocks)"]
      }
      return ([name] + places).joined(separator: " ")
        + (settings.isEmpty ? "" : " (\(settings.joined(separator: ", ")))")
    }
  }
}

extension Double {
  /// For tables: `0.001` and `1e-06`.
  var shown: String { String(format: "%g", self) }
}

/// Tuning on a task's support set, as PMF does it: each step takes prototypes of the support as it is under the current weights,
/// and the cross-entropy of an augmented copy of the same support against them, with the gradient through both.
///
/// Hu et al. 2022, "Pushing the Limits of Simple Pipelines for Few-Shot Learning", arXiv:2204.07305, section 3.3. The network is in
/// evaluation mode but for an adapter's dropout on the augmented copy. Weight decay leaves out biases and other vectors.
public struct FineTuning: Sendable {
  /// Optimizer steps.
  public var steps = 50
  /// The authors of SMAT take AdamW with PyTorch's usual decay, those of PMF Adam without.
  public var optimizer = OptimizerSettings(.adamW, weightDecay: 0.01)
  /// nil where the copy is the support as it is. Inputs that are no images are never augmented.
  public var augmentation: SupportAugmentation? = SupportAugmentation()
  /// What the candidates of a search are multiplied by; a fixed rate is taken as it is.
  public var rateFactor = 1.0
  public var rates = RateSearch.supportFolds(candidates: RateSearch.usualCandidates, folds: 5)

  public init() {}

  /// For an adapter: a search among ten times the rates of full fine-tuning, as SMAT trains LoRA.
  public static var ofAdapter: FineTuning {
    var tuning = FineTuning()
    tuning.rateFactor = 10
    return tuning
  }

  /// The rates to choose from, as the optimizer has them; ascending.
  var candidates: [Double] {
    if case .fixed(let rate) = rates { return [rate] }
    return rates.candidates.map { $0 * rateFactor }
  }

  fileprivate var summary: String {
    let varied = augmentation.map { $0.flips ? "augmented" : "augmented without mirroring" } ?? "not augmented"
    return "\(steps) \(steps == 1 ? "step" : "steps") of \(optimizer.kind.rawValue), images \(varied)"
  }

  /// The factor where it has an effect: for a rate that is searched.
  var searchFactor: Double? {
    if case .fixed = rates { return nil }
    return rateFactor
  }

  func validate() throws(MetaTestError) {
    guard steps > 0 else { throw .steps(steps) }
    guard rateFactor > 0, rateFactor.isFinite else { throw .rateFactor(rateFactor) }
    try rates.validate()
  }
}

/// Where the learning rate of fine-tuning comes from. A rate of 0 stands for no tuning; of equal rates the smallest is taken.
public enum RateSearch: Sendable {
  /// The same for all tasks.
  case fixed(Double)
  /// For each task by its own support alone: the examples of each class are divided into folds, the network is adapted and tuned on
  /// the rest and asked about the fold. An example that is alone in its class is in no fold; a support without a second example of
  /// any class is not tuned, and counted.
  case supportFolds(candidates: [Double], folds: Int)
  /// One for each data set, by episodes of other classes: those of the pool of the same name, or of all pools where there is none.
  case otherClasses([EpisodePool], episodes: Int, candidates: [Double])
  /// One for each data set, by a few episodes of its own test classes, with the labels of their queries: what SMAT and PMF publish.
  /// It has seen the classes, and possibly the images, that it is measured on.
  case official(episodes: Int, candidates: [Double])

  /// PMF's.
  public static let usualCandidates = [0, 1e-4, 1e-3, 1e-2]
  /// SMAT's on Meta-Dataset.
  public static let officialCandidates = [0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1]

  /// For tables and files.
  public var name: String {
    switch self {
    case .fixed(let rate): "fixed at \(rate.shown)"
    case .supportFolds(_, let folds): "\(folds) folds of each support"
    case .otherClasses(_, let episodes, _): "\(episodes) episodes of other classes"
    case .official(let episodes, _): "official: \(episodes) labelled episodes of the test classes"
    }
  }

  var candidates: [Double] {
    switch self {
    case .fixed(let rate): [rate]
    case .supportFolds(let candidates, _), .otherClasses(_, _, let candidates), .official(_, let candidates):
      candidates.sorted()
    }
  }

  func validate() throws(MetaTestError) {
    guard !candidates.isEmpty, let bad = candidates.first(where: { !($0 >= 0 && $0.isFinite) }) else {
      if candidates.isEmpty { throw .noCandidates }
      switch self {
      case .fixed: return
      case .supportFolds(_, let folds): if folds < 2 { throw .folds(folds) }
      case .otherClasses(_, let episodes, _), .official(let episodes, _):
        if episodes < 1 { throw .searchEpisodes(episodes) }
      }
      return
    }
    throw .rate(bad)
  }
}
