import Datasets
import Foundation
import NeuralNetworks
import Tensors
import Tokenizers
import Training

/// A few labelled examples for `graft meta adapt`: a folder `class/image`, or texts with their labels.
struct SupportSet: Sendable {
  let classes: [String]
  /// The class of each.
  let labels: [Int]
  /// `[examples, …]`, as the network takes them.
  let inputs: Tensor
  /// What could not be read and was left out.
  let badSamples: [BadSample]

  enum Problem: Error, Equatable, CustomStringConvertible {
    case missing(String)
    case oneClass(String, found: [String])
    case emptyClass(String, path: String)
    /// A folder of data sets, or of classes in them.
    case folders(String, class: String, inner: [String])
    /// None that can be read.
    case allBad(String, path: String)

    var description: String {
      switch self {
      case .missing(let path): "There is no folder '\(path)'. Give one with a folder of images for each class."
      case .oneClass(let path, let found):
        """
        '\(path)' has \(found.isEmpty ? "no class" : "one class, '\(found[0])'"): a task needs two or more to tell apart. \
        Give a folder of images for each class.
        """
      case .emptyClass(let name, let path):
        """
        The class '\(name)' in '\(path)' has no image (\(DomainFolder.imageExtensions.sorted().joined(separator: ", "))). \
        Give one or more, or remove its folder.
        """
      case .folders(let path, let name, let inner):
        """
        '\(path)/\(name)' holds folders (\(inner.prefix(3).map { "'\($0)'" }.joined(separator: ", "))\
        \(inner.count > 3 ? ", …" : "")) where a class has images: this is one folder too high. Give that of one data set, \
        such as '\(path)/\(name)'.
        """
      case .allBad(let name, let path):
        "No image of the class '\(name)' in '\(path)' can be read. Repair one or more, or remove its folder."
      }
    }
  }

  /// Images as evaluation sees them.
  ///
  /// - Parameter policy: what is done about images that cannot be read.
  /// - Throws: `Problem`; `BadImagesError` naming every image that cannot be read, unless they are left out.
  init(imagesIn folder: URL, size: Int, normalization: Normalization, badImages policy: BadSamplePolicy) throws {
    let listed = try Self.images(in: folder)
    let transform = try EvaluationTransform(size: size, normalization: normalization)
    // The pixels that testing sees, which come through the cache.
    let side = ImageCache.keptSide(for: size)
    var unused = Xoshiro256(seed: 0)
    var (pixels, labels): ([Float], [Int]) = ([], [])
    var bad: [BadSample] = []
    for (label, images) in listed.map(\.images).enumerated() {
      for path in images {
        do throws(ImageError) {
          let file = folder.appendingPathComponent(path).path
          let image = try ImageDecoder().decode(contentsOf: file, minimumSide: 2 * side).reduced(toShorterSide: side)
          pixels += transform(image, using: &unused)
          labels.append(label)
        } catch {
          bad.append(BadSample(path: path, reason: error.reason))
        }
      }
    }
    guard bad.isEmpty || policy == .skip else {
      throw BadImagesError(images: bad, total: labels.count + bad.count)
    }
    for (label, name) in listed.map(\.name).enumerated() where !labels.contains(label) {
      throw Problem.allBad(name, path: folder.path)
    }
    badSamples = bad
    classes = listed.map(\.name)
    self.labels = labels
    inputs = try Tensor(pixels, shape: [labels.count, 3, size, size])
  }

  /// Classes by name, each with the paths of its images; files that are no images are passed over as in other folders.
  private static func images(in folder: URL) throws -> [(name: String, images: [String])] {
    let manager = FileManager.default
    var isFolder: ObjCBool = false
    guard manager.fileExists(atPath: folder.path, isDirectory: &isFolder), isFolder.boolValue else {
      throw Problem.missing(folder.path)
    }
    let names = folders(in: folder, among: try manager.contentsOfDirectory(atPath: folder.path).sorted())
    guard names.count > 1 else { throw Problem.oneClass(folder.path, found: names) }
    return try names.map { name in
      let files = try manager.contentsOfDirectory(atPath: folder.appendingPathComponent(name).path).sorted()
      let images = files.filter { file in
        !file.hasPrefix(".") && DomainFolder.imageExtensions.contains((file as NSString).pathExtension.lowercased())
      }
      guard !images.isEmpty else {
        let inner = folders(in: folder.appendingPathComponent(name), among: files)
        throw inner.isEmpty
          ? Problem.emptyClass(name, path: folder.path) : Problem.folders(folder.path, class: name, inner: inner)
      }
      return (name, images.map { "\(name)/\($0)" })
    }
  }

  private static func folders(in folder: URL, among names: [String]) -> [String] {
    names.filter { name in
      var isFolder: ObjCBool = false
      let path = folder.appendingPathComponent(name).path
      return !name.hasPrefix(".") && FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        && isFolder.boolValue
    }
  }

  /// Texts of one file, or of all files of a folder.
  ///
  /// - Throws: `TextFolderError`; `Problem.oneClass`.
  @Compute
  init(
    textsIn folder: URL, options: TextFolder.Options, tokenizer: Tokenizer, for encoder: TextTransformer,
    maximumLength: Int
  ) async throws {
    let texts = try TextFolder(at: folder, options: options)
    guard texts.classes.count > 1 else { throw Problem.oneClass(folder.path, found: texts.classes) }
    let examples = try TextExamples(texts, tokenizer: tokenizer, for: encoder, maximumLength: maximumLength)
    let all = SequentialBatches(Array(examples.labels.indices), batchSize: examples.labels.count)
    var inputs: Tensor?
    for try await batch in examples.batches(of: all, steps: 0..<1, for: .evaluation) { inputs = batch.inputs }
    guard let inputs else { throw CancellationError() }
    classes = texts.classes
    labels = examples.labels
    self.inputs = inputs
    badSamples = examples.badSamples
  }

  /// How many examples each class has.
  var counts: [(name: String, examples: Int)] {
    classes.enumerated().map { label, name in (name, labels.count { $0 == label }) }
  }
}
