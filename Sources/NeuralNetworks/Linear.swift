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

  /// Some of its outputs, as a map at a site of its own; the memory is shared.
  public func part(_ rows: Range<Int>, at site: Site) throws -> Linear {
    Linear(site: site, weight: try weight.narrowed(0, rows), bias: try bias?.narrowed(0, rows))
  }
}
