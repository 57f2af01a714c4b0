import NeuralNetworks
import Tensors

/// How a method is set up: turns sites into trainable parameters. One file for each method, one line in
/// `adapterMethods`.
public protocol AdapterConfiguration: Codable, Hashable, Sendable {
  /// The method's name in files, as in PEFT's `peft_type`.
  static var method: String { get }
  /// One line for `--help` and the documentation.
  static var summary: String { get }
  /// Where it was published, as in `arXiv:2106.09685`; nil for what has no paper of its own.
  static var paper: String? { get }

  /// Settings that may be absent, because nil is one of their values.
  static var optionalSettings: Set<String> { get }

  /// Where the method may go, and where it goes by default.
  static var placement: AdapterPlacement { get }

  /// Why the adapter cannot become part of the backbone's weights; nil where it merges exactly.
  var obstacleToMerging: String? { get }

  /// The defaults.
  init()

  /// Checks everything that can be checked before any weight is touched.
  ///
  /// - Throws: `AdapterError` naming the site and the setting that does not fit.
  func validate(_ sites: [Site]) throws

  /// The trainable parts.
  ///
  /// - Parameter sites: the linear maps chosen; for a method of `blocks` all the maps of the blocks chosen, for one of the
  ///   whole backbone all of its maps.
  func parts(for sites: [Site], of backbone: any Backbone, generator: Generator) throws -> AdapterParts
}

extension AdapterConfiguration {
  public static var paper: String? { nil }
  public static var optionalSettings: Set<String> { [] }
  public var obstacleToMerging: String? { nil }
}

/// Where a method may go.
public enum AdapterPlacement: Hashable, Sendable {
  /// To linear maps, by their roles in chosen blocks; the defaults come with it.
  case linearMaps(Targets, Blocks = .all)
  /// To places of its own in chosen blocks.
  case blocks
  /// To the backbone as a whole.
  case backbone
}

/// What a method makes: corrections at sites, changes elsewhere, and everything that trains.
public struct AdapterParts: Sendable {
  /// By the site's name.
  public var corrections: [String: any SiteAdapter] = [:]
  /// By the backbone tensor's name.
  public var tensors: [String: any TensorAdapter] = [:]
  /// By the branch's name.
  public var branches: [String: any BranchAdapter] = [:]
  public var sequence: (any SequenceAdapter)?
  /// Everything that trains, each once, in a fixed order: the order in files and in the optimizer.
  public var parameters: [Parameter] = []
  /// What files carry beside them and nothing trains, each once, in a fixed order: the members of a composition.
  public var frozen: [Parameter] = []

  public init() {}
}
