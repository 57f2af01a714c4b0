import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors

/// The images of a folder as a model's inputs, `[count, 3, size, size]`.
public struct ImageExamples: Examples {
  public let folder: DomainFolder
  public let source: any ImageSource
  /// What training images go through; equal to `evaluation` where nothing is varied.
  public let training: any ImageTransform
  public let evaluation: EvaluationTransform
  public let fingerprint: String
  public let badSamples: [BadSample]
  public let labels: [Int]
  public let varies: Bool
  private let unusable: Set<Int>

  /// - Parameters:
  ///   - source: the folder's images by the index of their sample.
  ///   - badImages: those that the source cannot give.
  /// - Throws: `ImageTransformError` for a size or a setting out of its range.
  public init(
    _ folder: DomainFolder, from source: any ImageSource, size: Int, normalization: Normalization,
    augmentation: TrainingTransform.Settings?, badImages: [BadSample] = []
  ) throws {
    self.folder = folder
    self.source = source
    badSamples = badImages
    labels = folder.samples.map(\.label)
    varies = augmentation != nil
    evaluation = try EvaluationTransform(size: size, normalization: normalization)
    if let augmentation {
      training = try TrainingTransform(size: size, normalization: normalization, settings: augmentation)
    } else {
      training = evaluation
    }
    let bad = Set(badImages.map(\.path))
    unusable = Set(folder.samples.indices.filter { bad.contains(folder.samples[$0].path) })
    // The paths, not the pixels: hashing a data set would take longer than many runs. The cache notices changed files.
    let names = folder.samples.map { "\($0.path)\0\($0.domain)\0\($0.label)\n" }.joined()
    let varied = augmentation.map { "\($0)" } ?? "none"
    let settings = "\(size) \(normalization.mean) \(normalization.std) \(varied) \(badImages.map(\.path))"
    fingerprint = FileDigest.sha256(of: Data((names + settings).utf8))
  }

  /// Decodes the images once, into a cache on disk, and gives them out from there.
  ///
  /// - Throws: `BadImagesError` where some cannot be used and the configuration does not skip them; `FileError`.
  public static func open(
    _ folder: DomainFolder, configuration: TrainingConfiguration, normalization: Normalization,
    cache: URL = ImageExamples.defaultCache, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
  ) async throws -> ImageExamples {
    let images = try await ImageCache.open(
      for: folder, size: configuration.imageSize, in: cache, policy: configuration.badImages, progress: progress)
    return try ImageExamples(
      folder, from: images, size: configuration.imageSize, normalization: normalization,
      augmentation: configuration.augmentation, badImages: images.badImages)
  }

  /// `graft/images` in the user's folder for caches.
  public static var defaultCache: URL {
    let manager = FileManager.default
    let caches = manager.urls(for: .cachesDirectory, in: .userDomainMask).first ?? manager.temporaryDirectory
    return caches.appendingPathComponent("graft/images", isDirectory: true)
  }

  public var classes: [String] { folder.classes }
  public var domains: [String] { folder.domains }
  public var ranges: [Range<Int>] { folder.ranges }
  public func isUsable(_ index: Int) -> Bool {
    folder.samples.indices.contains(index) && !unusable.contains(index)
  }

  public func batches(of plan: any BatchPlan, steps: Range<Int>, for purpose: Purpose) -> Batches {
    let (transform, seed): (any ImageTransform, UInt64) =
      switch purpose {
      case .evaluation: (evaluation, 0)
      case .training(let seed): (training, seed)
      }
    let loader = BatchLoader(
      source: source, samples: folder.samples, plan: plan, transform: transform, seed: seed, steps: steps)
    return Batches(loader) { batch in
      Batch(
        step: batch.step, indices: batch.samples,
        inputs: try Tensor(
          sharing: UnsafeRawBufferPointer(batch.pixels), shape: batch.shape, dtype: .float32, owner: batch),
        labels: try Tensor(batch.labels.map(Int64.init)))
    }
  }
}

extension Backbone {
  /// The pixel statistics that the backbone was trained with; ImageNet's for one that does not say.
  public var usualNormalization: Normalization {
    guard let own = (self as? VisionTransformer)?.normalization,
      let known = try? Normalization(mean: own.mean, std: own.deviation)
    else { return .imageNet }
    return known
  }
}
