import NeuralNetworks
import Tensors

/// A kind of tensor that a method has at each linear map, and what becomes of it where a file has the map in other pieces
/// than the adapter: queries, keys and values apart or in one.
struct SiteSlot {
  /// Our name after the site's.
  let ours: String
  /// The file's name after the module's.
  let theirs: String
  let extent: Extent

  enum Extent {
    /// `[rank, inFeatures]`: three parts share it; parts become more ranks of the whole.
    case ranks
    /// `[outFeatures, rank]`: parts have their rows; put together they stand on a block diagonal.
    case rows
    /// One number for each output, in the shape `[outFeatures]` or `[outFeatures, 1]`; rows that nothing adapts have the
    /// value that changes nothing.
    ///
    /// - Parameter scaled: whether the method's scale multiplies it, so that it follows where a file has another scale.
    case outputs(scaled: Bool = false, unchanged: @Sendable (Linear) throws -> Tensor)
    /// Says nothing that can be divided among outputs.
    case indivisible
  }
}
