// Everything at once: `import Graft`.
@_exported import Adapters
@_exported import Datasets
@_exported import Formats
@_exported import MetaTuning
@_exported import Mixing
@_exported import NeuralNetworks
@_exported import Reports
@_exported import Studies
@_exported import Tensors
@_exported import Tokenizers
@_exported import Training
