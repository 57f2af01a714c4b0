import Formats
import Foundation
import NeuralNetworks
import Tensors

/// The files of an adapter.
struct AdapterFiles {
  var documents: [(name: String, value: JSONValue)]
  var weights: [(name: String, tensors: [(name: String, tensor: Tensor)])]

  init(
    _ documents: [(name: String, value: JSONValue)],
    _ weights: [(name: String, tensors: [(name: String, tensor: Tensor)])]
  ) {
    self.documents = documents
    self.weights = weights
  }

  /// The folder with these files, whole or not at all.
  func write(to folder: URL) throws {
    try AtomicFolder.write(to: folder) { folder in
      for (name, value) in documents {
        try AtomicFile.write(value.text(.readable) + "\n", to: folder.appendingPathComponent(name))
      }
      for (name, tensors) in weights {
        var writer = SafetensorsWriter(metadata: ["format": "pt"])
        for (name, tensor) in tensors { try writer.add(name, tensor.detached()) }
        try writer.write(to: folder.appendingPathComponent(name))
      }
    }
  }
}
