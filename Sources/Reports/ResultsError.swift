/// What can be wrong with a run's results. System calls that fail throw `FileError`.
public enum ResultsError: Error, Equatable, CustomStringConvertible {
  /// The file does not end with a newline: an earlier write was cut off.
  case tornLastLine(path: String, line: Int)
  /// A record that no reader could take: see `reason`.
  case invalidRecord(reason: String)

  public var description: String {
    switch self {
    case .tornLastLine(let path, let line):
      """
      The last line of '\(path)' (line \(line)) was cut off by a crash. \
      Call repair() before appending, so that no record is glued to it.
      """
    case .invalidRecord(let reason):
      "A result record \(reason)."
    }
  }
}
