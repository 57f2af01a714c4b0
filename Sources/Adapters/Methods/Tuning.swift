import NeuralNetworks
import Tensors

// What the methods share that train tensors of the backbone itself.

extension AdapterParts {
  /// Trainable copies of the backbone's tensors whose names are asked for; the backbone itself stays as it is.
  init(tuning backbone: any Backbone, where wanted: (String) -> Bool) throws {
    self.init()
    for (name, tensor) in backbone.tensors where wanted(name) {
      let parameter = try Parameter(name, tensor, isWeight: false)
      tensors[name] = TunedTensor(parameter)
      parameters.append(parameter)
    }
  }
}

extension Backbone {
  /// The LayerNorms before the first block (CLIP has one), and those after the last.
  var outerLayerNorms: (first: [String], last: [String]) {
    func isInBlock(_ name: String) -> Bool { name.hasPrefix("blocks.") }
    let first = layerNorms.prefix { !isInBlock($0) }
    return (Array(first), layerNorms.dropFirst(first.count).filter { !isInBlock($0) })
  }
}
