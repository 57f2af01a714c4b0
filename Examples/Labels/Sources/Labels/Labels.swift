import Foundation
import Graft

/// Labels image files with a trained adapter: `labels MODEL ADAPTER IMAGE …`, where ADAPTER is a folder that `graft train`, or
/// `save(to:)`, wrote.
@main struct Labels {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count > 2 else {
      print("usage: labels MODEL ADAPTER IMAGE …")
      return
    }
    let backbone = try VisionTransformer(from: URL(fileURLWithPath: arguments[0]))
    let model = try backbone.adapted(from: URL(fileURLWithPath: arguments[1]))
    let size = backbone.configuration.imageSize
    let transform = try EvaluationTransform(size: size, normalization: backbone.usualNormalization)
    for file in arguments.dropFirst(2) {
      let pixels = transform(try ImageDecoder().decode(contentsOf: file))
      let prediction = try model.predict(Tensor(pixels, shape: [1, 3, size, size]))[0]
      print(file, prediction.label, prediction.probability)
    }
  }
}
