import Adapters
import ArgumentParser
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Tokenizers
import Training

/// `graft predict`
struct PredictCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Label images or texts with a trained adapter.",
    discussion: """
      Prints a line for each input: the path of the image or the text, the most probable class, and the probability, \
      separated by tabs. On a text encoder each argument is a text, and - stands for the lines of standard input.

        graft predict runs/lora photo.jpg drawing.png
        graft predict runs/sentiment "well worth the price" "it broke on the second day"
      """)

  @Argument(help: "The folder of an adapter, or of a run of graft train.", completion: .directory)
  var adapter: String

  @Argument(
    help: "Images: JPEG, PNG or WebP; or texts.", completion: .file(extensions: ["jpg", "jpeg", "png", "webp"]))
  var inputs: [String]

  @OptionGroup(title: "Model") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let trained = try TrainedAdapter(at: adapter, data)
    let (settings, recipe) = try trained.backbone()
    let network = try settings.load()
    let model = try trained.load(onto: network)
    guard model.head != nil else { throw TrainedAdapter.Problem.noClassifier(adapter) }
    if let encoder = network as? TextTransformer {
      return try await label(
        texts(), with: model, TextReader(trained, folder: settings.folder, encoder), batch: recipe.evaluationBatch,
        console)
    }
    try await labelImages(with: model, network, recipe, console)
  }

  // MARK: Texts

  /// The arguments, and the lines of standard input in place of `-`.
  private func texts() -> [String] {
    inputs.flatMap { input in
      guard input == "-" else { return [input] }
      var lines: [String] = []
      while let line = readLine() { lines.append(line) }
      return lines
    }
  }

  private func label(
    _ texts: [String], with model: AdaptedModel, _ reader: TextReader, batch: Int, _ console: Console
  ) async throws {
    var results: [JSONValue] = []
    for start in stride(from: 0, to: texts.count, by: batch) {
      try Task.checkCancellation()
      let part = Array(texts[start..<min(start + batch, texts.count)])
      let predictions = try await Self.predict(part, model, reader)
      for (text, prediction) in zip(part, predictions) {
        console.result("\(text)\t\(prediction.label)\t\(Quantity.fixed(Double(prediction.probability), 4))")
        results.append([
          "text": .string(text), "label": .string(prediction.label),
          "probability": .double(Double(prediction.probability)),
        ])
      }
    }
    try console.json(JSONValue.object(["predictions": .array(results)]).text(.readable))
  }

  /// Makes inputs of texts, as training did.
  private struct TextReader: Sendable {
    let tokenizer: Tokenizer
    let encoder: TextTransformer
    let length: Int

    init(_ trained: TrainedAdapter, folder: URL, _ encoder: TextTransformer) throws {
      tokenizer = try Tokenizer(from: folder)
      self.encoder = encoder
      length = try trained.texts().length(for: encoder)
    }

    func input(_ texts: [String]) throws -> Tensor {
      let encodings = try texts.map { try tokenizer.encode($0, maximumLength: length) }
      return try encoder.input(encodings.map { $0.ids.map(Int.init) }, types: encodings.map { $0.types.map(Int.init) })
    }
  }

  @Compute
  private static func predict(_ texts: [String], _ model: AdaptedModel, _ reader: TextReader) throws -> [Prediction] {
    try model.predict(reader.input(texts))
  }

  // MARK: Images

  private func labelImages(
    with model: AdaptedModel, _ network: any PretrainedNetwork, _ recipe: TrainingConfiguration, _ console: Console
  ) async throws {
    let transform = try EvaluationTransform(
      size: recipe.imageSize, normalization: recipe.normalization ?? network.usualNormalization)

    // The pixels that training and evaluation saw, which came through the cache.
    let side = ImageCache.keptSide(for: recipe.imageSize)
    var bad: [BadSample] = []
    var results: [JSONValue] = []
    for start in stride(from: 0, to: inputs.count, by: recipe.evaluationBatch) {
      try Task.checkCancellation()
      let paths = inputs[start..<min(start + recipe.evaluationBatch, inputs.count)]
      console.progress.show("predicting", start, of: inputs.count)
      let decoded = paths.compactMap { path -> (path: String, image: RGBImage)? in
        do throws(ImageError) {
          let file = AssetFolder.path(path).path
          return (path, try ImageDecoder().decode(contentsOf: file, minimumSide: 2 * side).reduced(toShorterSide: side))
        } catch {
          bad.append(BadSample(path: path, reason: error.reason))
          return nil
        }
      }
      guard bad.isEmpty || recipe.badImages == .skip else { throw BadImagesError(images: bad, total: inputs.count) }
      guard !decoded.isEmpty else { continue }
      let predictions = try await Self.predict(decoded.map(\.image), model, transform)
      for (item, prediction) in zip(decoded, predictions) {
        console.result("\(item.path)\t\(prediction.label)\t\(Quantity.fixed(Double(prediction.probability), 4))")
        results.append([
          "image": .string(item.path), "label": .string(prediction.label),
          "probability": .double(Double(prediction.probability)),
        ])
      }
    }
    for image in bad { console.warn("\(image)") }
    try console.json(
      JSONValue.object(["predictions": .array(results), "bad_images": .array(bad.map { .string("\($0)") })])
        .text(.readable))
  }

  @Compute
  private static func predict(_ images: [RGBImage], _ model: AdaptedModel, _ transform: EvaluationTransform) throws
    -> [Prediction]
  {
    var unused = Xoshiro256(seed: 0)
    let pixels = images.flatMap { transform($0, using: &unused) }
    let size = transform.size
    let inputs = try Tensor(pixels, shape: [images.count, 3, size, size])
    return try model.predict(inputs.to(model.backbone.device))
  }
}
