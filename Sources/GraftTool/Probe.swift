import Datasets
import Foundation
import NeuralNetworks
import Tensors
import Training

/// A few inputs that two networks are compared on.
struct Probe: Sendable {
  /// `[count, …]`, as the network takes them.
  let inputs: Tensor
  let source: String

  /// Random pixels or tokens, the same every time.
  ///
  /// - Parameter size: the side of the images in pixels, or the longest text in tokens; nil for a small one.
  static func noise(for network: any PretrainedNetwork, count: Int, size: Int? = nil) throws -> Probe {
    Probe(
      inputs: try network.noise(count: count, size: size, from: Generator(seed: 0)),
      source: network is VisionTransformer ? "normal pixels of seed 0" : "random tokens of seed 0")
  }

  /// Images spread evenly over a folder's domains and classes, as evaluation sees them.
  ///
  /// - Throws: `DomainFolderError`; `BadImagesError` for images that cannot be read.
  static func images(of folder: URL, count: Int, size: Int, normalization: Normalization) throws -> Probe {
    let all = try DomainFolder(at: folder.resolvingSymlinksInPath())
    let transform = try EvaluationTransform(size: size, normalization: normalization)
    let side = ImageCache.keptSide(for: size)
    let count = min(count, all.samples.count)
    var unused = Xoshiro256(seed: 0)
    var pixels: [Float] = []
    for index in 0..<count {
      let path = all.samples[index * all.samples.count / count].path
      let image: RGBImage
      do throws(ImageError) {
        let file = all.root.appendingPathComponent(path).path
        image = try ImageDecoder().decode(contentsOf: file, minimumSide: 2 * side).reduced(toShorterSide: side)
      } catch {
        throw BadImagesError(images: [BadSample(path: path, reason: error.reason)], total: count)
      }
      pixels += transform(image, using: &unused)
    }
    return Probe(inputs: try Tensor(pixels, shape: [count, 3, size, size]), source: folder.path)
  }
}
