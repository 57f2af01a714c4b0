import Tensors

/// A frozen linear map at a site: `x · weightᵀ + bias`.
public struct Linear: Sendable {
  public let site: Site
  /// `[outFeatures, inFeatures]`
  public let weight: Tensor
  /// `[outFeatures]`
  public let bias: Tensor?

  public init(site: Site, weight: Tensor, bias: Tensor?) {
    self.site = site
    self.weight = weight
    self.bias = bias
  }

  /// `[…, inFeatures]` to `[…, outFeatures]`.
  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.linear(weight, bias) }
}
