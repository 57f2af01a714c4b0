/// What is wrong with one image file. `file` is the path as it was given.
public enum ImageError: Error, Equatable, Hashable, Sendable, CustomStringConvertible {
  case unreadable(file: String, reason: String)
  case notAFile(file: String)
  case empty(file: String)
  case fileTooLarge(file: String, bytes: Int, limit: Int)
  case tooManyPixels(file: String, width: Int, height: Int, limit: Int)
  /// `looksLike` names the format when the first bytes give it away.
  case unrecognized(file: String, looksLike: String?)
  case truncated(file: String, bytes: Int)
  case corrupt(file: String, detail: String)
  case unsupported(file: String, detail: String)
  case outOfMemory(file: String, width: Int, height: Int)

  public var file: String {
    switch self {
    case .unreadable(let file, _), .notAFile(let file), .empty(let file), .fileTooLarge(let file, _, _),
      .tooManyPixels(let file, _, _, _), .unrecognized(let file, _), .truncated(let file, _), .corrupt(let file, _),
      .unsupported(let file, _), .outOfMemory(let file, _, _):
      file
    }
  }

  /// What is wrong and what to do, without the file's name: for lists that have it in a column of its own.
  public var reason: String {
    switch self {
    case .unreadable(_, let reason):
      "cannot be read: \(reason). Check the path and its permissions."
    case .notAFile:
      "is not a regular file. Remove it, or put an image in its place."
    case .empty:
      "is empty. Copy or download it again, or remove it."
    case .fileTooLarge(_, let bytes, let limit):
      "has \(bytes) bytes, and the limit is \(limit). Store it smaller, or raise `maximumFileBytes`."
    case .tooManyPixels(_, let width, let height, let limit):
      "has \(width) × \(height) pixels, and the limit is \(limit). Store it smaller, or raise `maximumPixels`."
    case .unrecognized(_, let format?):
      "is \(format), not JPEG, PNG or WebP. Convert it."
    case .unrecognized(_, nil):
      "is not JPEG, PNG or WebP, whatever its name says. Convert or remove it."
    case .truncated(_, let bytes):
      "is truncated: the image does not end within its \(bytes) bytes. Copy or download it again, or remove it."
    case .corrupt(_, let detail):
      "is damaged\(suffix(detail)). Copy or download it again, or remove it."
    case .unsupported(_, let detail):
      "is of a kind that is not read here\(suffix(detail)). Convert it to a common kind."
    case .outOfMemory(_, let width, let height):
      "needs more memory than there is for \(width) × \(height) pixels. Store it smaller, or lower `maximumPixels`."
    }
  }

  public var description: String { "'\(file)' \(reason)" }

  private func suffix(_ detail: String) -> String { detail.isEmpty ? "" : " (\(detail))" }
}
