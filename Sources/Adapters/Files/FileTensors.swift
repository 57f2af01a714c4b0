import Formats
import Foundation
import NeuralNetworks
import Tensors

/// Tensors of a file that belong together, and how they go to and from the parameters they stand for.
///
/// One group is one tensor, or the same tensor of three modules that share it.
struct FileGroup {
  let names: [String]
  let shapes: [[Int]]
  /// The tensors, in the order of `names`.
  let write: () throws -> [Tensor]
  /// Takes the tensors over; they have the right shapes and no NaN.
  let read: ([Tensor]) throws -> Void

  init(
    _ names: [String], _ shapes: [[Int]], write: @escaping () throws -> [Tensor],
    read: @escaping ([Tensor]) throws -> Void
  ) {
    self.names = names
    self.shapes = shapes
    self.write = write
    self.read = read
  }

  /// A parameter as it is, or in another shape of as many numbers.
  init(_ name: String, _ parameter: Parameter, shape: [Int]? = nil) {
    let shape = shape ?? parameter.value.shape
    self.init([name], [shape]) {
      [try parameter.value.detached().reshaped(shape)]
    } read: {
      try parameter.load($0[0].reshaped(parameter.value.shape))
    }
  }
}

extension [FileGroup] {
  var names: [String] { flatMap(\.names) }

  /// Every tensor under its name.
  func tensors() throws -> [(name: String, tensor: Tensor)] {
    try flatMap { group in zip(group.names, try group.write()).map { ($0, $1) } }
  }

  /// Fills the parameters from a file: every tensor of the file is used and every parameter filled, or nothing is.
  ///
  /// - Parameters:
  ///   - aside: tensors of the file that belong to another tower.
  ///   - sparse: those of which the file has only what is not zero.
  /// - Throws: `AdapterFolderError.names` listing both sides, `.shape` or `.notFinite` naming the tensor; `SparseTensorError`.
  func load(from file: SafetensorsFile, aside: Set<String> = [], sparse: SparseTensors = SparseTensors()) throws {
    let expected = Set(names)
    let found = sparse.names(of: file).subtracting(aside)
    guard expected == found else {
      throw AdapterFolderError.names(
        file.url.path, missing: expected.subtracting(found).sorted(), unexpected: found.subtracting(expected).sorted())
    }
    var tensors: [[Tensor]] = []
    for group in self {
      tensors.append(
        try zip(group.names, group.shapes).map { name, shape in
          let tensor = try sparse.tensor(name, in: file, expected: shape)
          guard tensor.shape == shape else {
            throw AdapterFolderError.shape(name, file: file.url.path, expected: shape, found: tensor.shape)
          }
          guard tensor.dtype.isFloatingPoint, try tensor.isAllFinite() else {
            throw AdapterFolderError.notFinite(name, file: file.url.path)
          }
          return tensor
        })
    }
    for (group, tensors) in zip(self, tensors) { try group.read(tensors) }
  }
}
