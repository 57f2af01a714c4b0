/// A look at every image of a data set before any work: how many, how large, which cannot be used.
public struct ImageScan: Sendable, Hashable, Codable {
  public enum Depth: Sendable {
    /// Read headers: fast; finds wrong formats, bombs, empty files, and files cut off within the header.
    case headers
    /// Decode everything: finds all damage.
    case pixels
  }

  /// Usable images per domain, in the order of the domains.
  public let countsByDomain: [Int]
  /// Usable images per domain and class.
  public let countsByClass: [[Int]]
  /// Usable images per format.
  public let countsByFormat: [String: Int]
  /// Images whose EXIF orientation is not upright.
  public let turned: Int
  /// The smallest and largest of all widths and heights; `nil` without a usable image.
  public let sides: ClosedRange<Int>?
  /// The median of the shorter sides; `nil` without a usable image.
  public let medianShorterSide: Int?
  public let totalPixels: Int
  public let badImages: [BadSample]

  /// Scans `folder`, a few files at a time.
  ///
  /// - Throws: `BadImagesError` if there are bad images and `policy` is `.error`; `CancellationError`.
  public init(
    of folder: DomainFolder, decoder: ImageDecoder = ImageDecoder(), depth: Depth = .headers,
    policy: BadSamplePolicy = .error, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
  ) async throws {
    var byDomain = Array(repeating: 0, count: folder.domains.count)
    var byClass = Array(
      repeating: Array(repeating: 0, count: folder.classes.count), count: folder.domains.count)
    var byFormat: [String: Int] = [:]
    var shorter: [Int] = []
    var smallest = Int.max
    var largest = 0
    var pixels = 0
    var turned = 0
    var bad: [BadSample] = []
    let samples = folder.samples
    try await OrderedWork.run(
      count: samples.count,
      work: { index -> Result<ImageHeader, ImageError> in
        let path = folder.path(of: samples[index])
        do throws(ImageError) {
          let header = try decoder.header(contentsOf: path)
          if depth == .pixels { _ = try decoder.decode(contentsOf: path) }
          return .success(header)
        } catch {
          return .failure(error)
        }
      },
      collect: { index, result in
        let sample = samples[index]
        switch result {
        case .success(let header):
          byDomain[sample.domain] += 1
          byClass[sample.domain][sample.label] += 1
          byFormat[header.format.rawValue, default: 0] += 1
          shorter.append(min(header.width, header.height))
          smallest = min(smallest, header.width, header.height)
          largest = max(largest, header.width, header.height)
          pixels += header.width * header.height
          if header.orientation != .topLeft { turned += 1 }
        case .failure(let error):
          bad.append(BadSample(path: sample.path, reason: error.reason))
        }
        progress?(index + 1, samples.count)
      })
    if policy == .error, !bad.isEmpty { throw BadImagesError(images: bad, total: samples.count) }
    countsByDomain = byDomain
    countsByClass = byClass
    countsByFormat = byFormat
    sides = shorter.isEmpty ? nil : smallest...largest
    shorter.sort()
    medianShorterSide = shorter.isEmpty ? nil : shorter[shorter.count / 2]
    totalPixels = pixels
    self.turned = turned
    badImages = bad
  }
}
