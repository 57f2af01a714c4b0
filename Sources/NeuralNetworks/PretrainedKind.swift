import Formats
import Foundation

/// What a pretrained network reads.
public enum PretrainedKind: Hashable, Sendable {
  case image
  case text

  /// Told by the names of the tensors in a folder; nothing but their headers is read.
  ///
  /// - Throws: `LoadError.unknownFamily` where the folder holds no network that is known.
  public init(of folder: URL) throws {
    switch try WeightSources(ShardedSafetensors(in: folder)).names.family {
    case .image: self = .image
    case .text: self = .text
    }
  }
}
