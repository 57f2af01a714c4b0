import Foundation
import Tensors

/// The backbone in a folder, whichever it holds: a `VisionTransformer` or a `TextTransformer`, told apart by the names of its
/// tensors.
///
/// - Parameter folder: what a download of a model leaves: weights and `config.json`.
/// - Throws: `LoadError.unknownFamily` where it is neither; what their initializers throw.
public func pretrainedBackbone(from folder: URL, device: Device = .cpu) throws -> any PretrainedNetwork {
  switch try PretrainedKind(of: folder) {
  case .image: try VisionTransformer(from: folder, device: device)
  case .text: try TextTransformer(from: folder, device: device)
  }
}
