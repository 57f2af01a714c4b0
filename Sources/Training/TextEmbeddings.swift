import Datasets
import NeuralNetworks
import Tensors
import Tokenizers

/// Texts as vectors of a frozen encoder, which choosing adapters by their domains' texts compares.
public struct TextEmbeddings: Sendable {
  public let network: TextTransformer
  public let tokenizer: Tokenizer
  /// Tokens of a text, special ones included; longer texts are cut.
  public let maximumLength: Int
  /// Texts in one forward pass.
  public var batchSize = 64

  /// - Parameters:
  ///   - network: whose `features` are the vectors; AdapterSoup's clusters are of the mean of the last hidden states,
  ///     the pooling `.mean`.
  ///   - maximumLength: nil for the most that the network takes.
  public init(_ network: TextTransformer, _ tokenizer: Tokenizer, maximumLength: Int? = nil) {
    self.network = network
    self.tokenizer = tokenizer
    self.maximumLength = min(maximumLength ?? .max, network.maximumLength)
  }

  /// `[samples, featureWidth]`, float32, on the CPU, in the order of `samples`. Their labels are not looked at.
  ///
  /// - Throws: `TokenizerError` where a text cannot be made into tokens.
  public func callAsFunction(_ samples: [TextFolder.Sample], adaptation: any Adaptation = Frozen()) throws -> Tensor {
    let texts = try samples.map { try tokenizer.encode($0.text, $0.secondText, maximumLength: maximumLength) }
    let features = try Tensor.zeros([samples.count, network.featureWidth])
    // Texts of similar lengths go together, so that little is filled up.
    let order = texts.indices.sorted { (texts[$0].count, $0) < (texts[$1].count, $1) }
    for start in stride(from: 0, to: order.count, by: max(1, batchSize)) {
      try Task.checkCancellation()
      let chosen = order[start..<min(order.count, start + max(1, batchSize))]
      let input = try TextTransformer.input(
        ids: chosen.map { texts[$0].ids.map(Int.init) }, types: chosen.map { texts[$0].types.map(Int.init) },
        paddingToken: network.paddingToken)
      let rows = try withoutGradients {
        try network.features(input.to(network.device), adaptation: adaptation, pass: ForwardPass()).to(.float32).to(
          .cpu)
      }
      try features.copyInPlace(rows, at: Tensor(chosen.map(Int64.init)))
    }
    return features
  }
}
