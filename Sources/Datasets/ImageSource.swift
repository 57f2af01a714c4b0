/// Decoded images by index: a cache, files, or anything else that can hand them out from several tasks at once.
public protocol ImageSource: Sendable {
  var count: Int { get }

  /// - Throws: an error that names the file.
  func image(at index: Int) throws -> RGBImage
}

/// Images decoded from their files every time they are asked for.
public struct ImageFiles: ImageSource {
  public let paths: [String]
  public let decoder: ImageDecoder
  /// See `ImageDecoder.decode(contentsOf:minimumSide:)`.
  public let minimumSide: Int?

  public init(paths: [String], decoder: ImageDecoder = ImageDecoder(), minimumSide: Int? = nil) {
    self.paths = paths
    self.decoder = decoder
    self.minimumSide = minimumSide
  }

  public var count: Int { paths.count }

  public func image(at index: Int) throws -> RGBImage {
    guard paths.indices.contains(index) else { throw ImageSourceError.noImage(index, count: paths.count) }
    return try decoder.decode(contentsOf: paths[index], minimumSide: minimumSide)
  }
}

public enum ImageSourceError: Error, Equatable, Sendable, CustomStringConvertible {
  case noImage(Int, count: Int)

  public var description: String {
    switch self {
    case .noImage(let index, let count):
      "There is no image \(index) among \(count). Use indices of the data set the images come from."
    }
  }
}
