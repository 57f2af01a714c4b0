/// A sample that cannot be used, and why: a row of the list that results carry.
public struct BadSample: Sendable, Hashable, Codable, CustomStringConvertible {
  /// Relative to the data set's root: an image, or `file:line`.
  public let path: String
  public let reason: String

  public init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }

  public var description: String { "\(path) \(reason)" }
}

/// What to do about samples that cannot be used.
public enum BadSamplePolicy: String, Sendable, Codable, CaseIterable {
  /// Stop, and name all of them.
  case error
  /// Go on without them, and list them in the results.
  case skip
}

/// Thrown under `BadSamplePolicy.error`: every bad image, not only the first.
public struct BadImagesError: Error, Equatable, Sendable, CustomStringConvertible {
  public let images: [BadSample]
  public let total: Int

  public init(images: [BadSample], total: Int) {
    self.images = images
    self.total = total
  }

  public var description: String {
    """
    \(images.count) of \(total) images cannot be used:
    \(list(images))
    Repair or remove them, or skip bad images; the results will list what was skipped.
    """
  }
}

/// Thrown under `BadSamplePolicy.error`: every bad line of a folder of texts, not only the first.
public struct BadLinesError: Error, Equatable, Sendable, CustomStringConvertible {
  public let lines: [BadSample]
  /// Samples and bad lines together.
  public let total: Int

  public init(lines: [BadSample], total: Int) {
    self.lines = lines
    self.total = total
  }

  public var description: String {
    """
    \(lines.count) of \(total) lines cannot be used:
    \(list(lines))
    Repair or remove them, or skip bad lines; the results will list what was skipped.
    """
  }
}

private func list(_ samples: [BadSample]) -> String {
  let shown = samples.prefix(20).map { "  \($0)" }.joined(separator: "\n")
  return samples.count > 20 ? "\(shown)\n  and \(samples.count - 20) more" : shown
}
