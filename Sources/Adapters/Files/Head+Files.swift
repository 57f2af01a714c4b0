import Formats
import Foundation
import NeuralNetworks
import Tensors

extension Head {
  /// A head to be filled from a file that says how many classes there are, and not always what they are: then they are called
  /// by their numbers.
  ///
  /// - Throws: `AdapterFolderError.labels` for another number of labels than classes.
  convenience init(_ name: String = "classifier", count: Int, labels: [String]?, of backbone: any Backbone) throws {
    if let labels, labels.count != count { throw AdapterFolderError.labels(labels.count, expected: count) }
    try self.init(
      name, classes: labels ?? (0..<count).map(String.init), features: backbone.featureWidth, device: backbone.device,
      generator: Generator(seed: 0))
  }

  /// - Throws: `AdapterFolderError.shape` where a tensor of the file is none of a head of these sizes. Looked at before
  ///   anything is made: a tensor without numbers can name any number of classes.
  static func check(_ file: SafetensorsFile, _ weight: String, _ bias: String, count: Int, features: Int) throws {
    for (name, shape) in [(weight, [count, features]), (bias, [count])] {
      guard let found = file[name]?.shape, found != shape else { continue }
      throw AdapterFolderError.shape(name, file: file.url.path, expected: shape, found: found)
    }
  }
}
