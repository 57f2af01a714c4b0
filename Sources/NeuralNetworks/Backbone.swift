import Tensors

/// A pretrained network that turns inputs into features, and says where it can be adapted.
public protocol Backbone: Sendable {
  /// The linear maps that an adapter may go to, in the order in which they run.
  var sites: [Site] { get }
  /// The residual branches, in the order in which they run.
  var branches: [Branch] { get }
  /// The LayerNorms by name, as in `blocks.3.norm1`, in the order in which they run; their tensors are `NAME.weight` and
  /// `NAME.bias`.
  var layerNorms: [String] { get }
  /// The map from the input to tokens, as in `patch_embed`; its tensors are `STEM.weight`, one row for each output, and
  /// `STEM.bias`. nil where there is none.
  var stem: String? { get }
  /// Every tensor of the network by its name, in a fixed order.
  var tensors: [(name: String, tensor: Tensor)] { get }
  /// The linear map at a site of this backbone, or the rows of it that a part is.
  func linear(at site: Site) throws -> Linear
  /// The modules of the original file that make up a site, as other libraries name them: one, or query, key and value.
  /// None for a part that the file has only within a larger module.
  func modules(at site: Site) -> [String]
  /// The width of `features`.
  var featureWidth: Int { get }
  var device: Device { get }
  /// Identifies the network: a digest of its weights and of how they are read (heads, activation, pooling …), so that what
  /// belongs to another network is told apart.
  var fingerprint: String { get }

  /// `[batch, …]` to one vector for each, `[batch, featureWidth]`.
  func features(_ input: Tensor, adaptation: any Adaptation, pass: ForwardPass) throws -> Tensor
}

extension Backbone {
  public func features(_ input: Tensor) throws -> Tensor {
    try features(input, adaptation: Frozen(), pass: ForwardPass())
  }

  public var parameterCount: Int { tensors.reduce(0) { $0 + $1.tensor.count } }
}
