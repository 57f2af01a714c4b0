/// An image that cannot be used, and why: a row of the list that results carry.
public struct BadImage: Sendable, Hashable, Codable, CustomStringConvertible {
  /// Relative to the data set's root.
  public let path: String
  public let reason: String

  public init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }

  public var description: String { "\(path) \(reason)" }
}

/// What to do about images that cannot be used.
public enum BadImagePolicy: String, Sendable, Codable, CaseIterable {
  /// Stop, and name all of them.
  case error
  /// Go on without them, and list them in the results.
  case skip
}

/// Thrown under `BadImagePolicy.error`: every bad image, not only the first.
public struct BadImagesError: Error, Equatable, Sendable, CustomStringConvertible {
  public let images: [BadImage]
  public let total: Int

  public init(images: [BadImage], total: Int) {
    self.images = images
    self.total = total
  }

  public var description: String {
    let shown = images.prefix(20).map { "  \($0)" }.joined(separator: "\n")
    let rest = images.count > 20 ? "\n  and \(images.count - 20) more" : ""
    return """
      \(images.count) of \(total) images cannot be used:
      \(shown)\(rest)
      Repair or remove them, or skip bad images; the results will list what was skipped.
      """
  }
}
