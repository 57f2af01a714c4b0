import Adapters
import ArgumentParser
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

/// `graft predict`
struct PredictCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Label images with a trained adapter.",
    discussion: """
      Prints a line for each image: its path, the most probable class, and the probability, separated by tabs.

        graft predict runs/lora photo.jpg drawing.png
      """)

  @Argument(help: "The folder of an adapter, or of a run of graft train.", completion: .directory)
  var adapter: String

  @Argument(help: "Images: JPEG, PNG or WebP.", completion: .file(extensions: ["jpg", "jpeg", "png", "webp"]))
  var images: [String]

  @OptionGroup(title: "Model") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let trained = try TrainedAdapter(at: adapter, data)
    let (settings, recipe) = try trained.backbone()
    let (model, backbone) = try trained.load(onto: settings.load())
    guard model.head != nil else { throw TrainedAdapter.Problem.noClassifier(adapter) }
    let transform = try EvaluationTransform(
      size: recipe.imageSize, normalization: recipe.normalization ?? backbone.usualNormalization)

    // The pixels that training and evaluation saw, which came through the cache.
    let side = ImageCache.keptSide(for: recipe.imageSize)
    var bad: [BadImage] = []
    var results: [JSONValue] = []
    for start in stride(from: 0, to: images.count, by: recipe.evaluationBatch) {
      try Task.checkCancellation()
      let paths = images[start..<min(start + recipe.evaluationBatch, images.count)]
      console.progress.show("predicting", start, of: images.count)
      let decoded = paths.compactMap { path -> (path: String, image: RGBImage)? in
        do throws(ImageError) {
          let file = AssetFolder.path(path).path
          return (path, try ImageDecoder().decode(contentsOf: file, minimumSide: 2 * side).reduced(toShorterSide: side))
        } catch {
          bad.append(BadImage(path: path, reason: error.reason))
          return nil
        }
      }
      guard bad.isEmpty || recipe.badImages == .skip else { throw BadImagesError(images: bad, total: images.count) }
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
