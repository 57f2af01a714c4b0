import Crypto
import Formats
import Foundation

/// A data set's images, decoded once and kept on disk at training resolution, memory-mapped.
///
/// An image whose shorter side exceeds `⌈1.2 · size⌉` is reduced to that side, its aspect kept; smaller ones stay as they
/// are. 1.2 is what a square crop of 0.7 of the area needs to come out at `size` without enlarging (√0.7 · 1.2 ≈ 1);
/// one of aspect 4/3 is enlarged by up to 15 %. Large images are thus resampled twice before a model sees them. The one file
/// says which files, sizes and modification times it was made from, and is made anew when they differ, or when it is damaged.
///
/// Bad images under `BadSamplePolicy.skip` keep their index: `isUsable` is false and `badImages` lists them, so the split of a
/// domain does not depend on them.
public final class ImageCache: ImageSource {
  public let file: URL
  /// Side of the square the model will see, in pixels.
  public let size: Int
  public let badImages: [BadSample]
  /// Whether the file was there already and up to date.
  public let wasReused: Bool
  private let contents: ImageCacheFile
  private let paths: [String]

  private init(file: URL, size: Int, contents: ImageCacheFile, folder: DomainFolder, wasReused: Bool) {
    self.file = file
    self.size = size
    self.contents = contents
    self.wasReused = wasReused
    paths = folder.samples.map(\.path)
    badImages = zip(paths, contents.entries).compactMap { path, entry in
      entry.reason.map { BadSample(path: path, reason: $0) }
    }
  }

  public var count: Int { contents.entries.count }

  /// Whether the sample at `index` of the folder has an image.
  public func isUsable(_ index: Int) -> Bool {
    contents.entries.indices.contains(index) && contents.entries[index].reason == nil
  }

  /// The image of a sample of the folder, by the sample's index.
  ///
  /// - Throws: `ImageCacheError.unusable` for a bad image, `.damaged` if the bytes on disk have changed.
  public func image(at index: Int) throws -> RGBImage {
    guard contents.entries.indices.contains(index) else { throw ImageSourceError.noImage(index, count: count) }
    let entry = contents.entries[index]
    if let reason = entry.reason { throw ImageCacheError.unusable(image: paths[index], reason: reason) }
    guard let image = contents.image(entry) else {
      throw ImageCacheError.damaged(file: file.path, image: paths[index])
    }
    return image
  }

  /// Opens the cache of `folder` at `size`, making it first if it is missing, out of date or damaged.
  ///
  /// - Parameters:
  ///   - folder: the data set.
  ///   - size: side of the square the model will see, in pixels.
  ///   - cacheFolder: where caches are kept; made if missing.
  ///   - decoder: with its limits.
  ///   - policy: what to do about bad images.
  ///   - progress: called in order while images are decoded, not when the cache is reused.
  /// - Throws: `BadImagesError` naming all bad images under `.error`; `FileError`; `CancellationError`.
  public static func open(
    for folder: DomainFolder, size: Int, in cacheFolder: URL, decoder: ImageDecoder = ImageDecoder(),
    policy: BadSamplePolicy = .error, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
  ) async throws -> ImageCache {
    guard ImageTransformError.sizes.contains(size) else { throw ImageTransformError.size(size) }
    let key = ImageCacheKey(folder: folder, size: size, decoder: decoder)
    let file = cacheFolder.appendingPathComponent(key.fileName)
    func cache(_ contents: ImageCacheFile, wasReused: Bool) throws -> ImageCache {
      let cache = ImageCache(file: file, size: size, contents: contents, folder: folder, wasReused: wasReused)
      if policy == .error, !cache.badImages.isEmpty {
        throw BadImagesError(images: cache.badImages, total: cache.count)
      }
      return cache
    }
    if let contents = ImageCacheFile(at: file, fingerprint: key.fingerprint, count: folder.samples.count) {
      return try cache(contents, wasReused: true)
    }
    try await make(file, key: key, folder: folder, decoder: decoder, progress: progress)
    guard let contents = ImageCacheFile(at: file, fingerprint: key.fingerprint, count: folder.samples.count) else {
      throw ImageCacheError.notKept(file: file.path)
    }
    return try cache(contents, wasReused: false)
  }

  private static func make(
    _ file: URL, key: ImageCacheKey, folder: DomainFolder, decoder: ImageDecoder,
    progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
  ) async throws {
    let side = keptSide(for: key.size)
    let paths = folder.samples.map { folder.path(of: $0) }
    var writer = try ImageCacheWriter(to: file, fingerprint: key.fingerprint)
    try await OrderedWork.run(
      count: paths.count,
      work: { index -> Result<RGBImage, ImageError> in
        do throws(ImageError) {
          // Twice the side, so that the reduction within the JPEG decoder leaves the filter something to do.
          let image = try decoder.decode(contentsOf: paths[index], minimumSide: 2 * side)
          return .success(image.reduced(toShorterSide: side))
        } catch {
          return .failure(error)
        }
      },
      collect: { index, result in
        switch result {
        case .success(let image): try writer.append(image)
        case .failure(let error): writer.appendBad(error.reason)
        }
        progress?(index + 1, paths.count)
      })
    try writer.commit()
  }

  /// `⌈1.2 · size⌉`, in whole numbers.
  public static func keptSide(for size: Int) -> Int { (size * 12 + 9) / 10 }
}

extension RGBImage {
  /// The image reduced so that its shorter side is `side`, or itself if it is no larger.
  public func reduced(toShorterSide side: Int) -> RGBImage {
    guard shorterSide > side else { return self }
    func scaled(_ length: Int) -> Int { max(1, (length * side + shorterSide / 2) / shorterSide) }
    // Both sides are at least 1, which is all that resizing asks for.
    return (try? resized(width: scaled(width), height: scaled(height))) ?? self
  }
}

/// What a cache was made from.
struct ImageCacheKey {
  let size: Int
  let fileName: String
  /// SHA-256 over everything the cached pixels depend on.
  let fingerprint: [UInt8]

  /// Raise it when decoding or reducing changes what the pixels are.
  private static let revision = 1

  init(folder: DomainFolder, size: Int, decoder: ImageDecoder) {
    self.size = size
    var names = SHA256()
    var state = SHA256()
    names.update(data: Data("\(folder.root.standardizedFileURL.path)\0\(size)\0".utf8))
    state.update(data: Data("\(Self.revision) \(size) \(decoder.maximumPixels) \(decoder.maximumFileBytes)\0".utf8))
    for sample in folder.samples {
      names.update(data: Data("\(sample.path)\0".utf8))
      let (bytes, time) = FileBytes.sizeAndTime(folder.path(of: sample))
      state.update(data: Data("\(sample.path)\0\(bytes) \(time)\0".utf8))
    }
    // Names apart from state: a changed image replaces the file, another choice of domains gets a file of its own.
    let name = names.finalize().prefix(8).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    fileName = "images-\(size)px-\(name).cache"
    fingerprint = Array(state.finalize())
  }
}

public enum ImageCacheError: Error, Equatable, Sendable, CustomStringConvertible {
  case unusable(image: String, reason: String)
  case damaged(file: String, image: String)
  case notKept(file: String)

  public var description: String {
    switch self {
    case .unusable(let image, let reason):
      "'\(image)' \(reason)"
    case .damaged(let file, let image):
      "The cached pixels of '\(image)' in '\(file)' have changed since they were written. Delete that file and run again."
    case .notKept(let file):
      "'\(file)' was written and cannot be read back. Check the disk, or choose another cache folder."
    }
  }
}
