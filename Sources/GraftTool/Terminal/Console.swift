import ArgumentParser
import Foundation

/// Results on standard output, everything else on standard error.
struct Console: Sendable {
  let isJSON: Bool
  let isQuiet: Bool
  let progress: ProgressDisplay

  init(_ options: ConsoleOptions) {
    isJSON = options.json
    isQuiet = options.quiet
    progress = ProgressDisplay(isOn: !options.quiet && !options.noProgress)
  }

  /// A result for people; nothing where the result is asked for as JSON.
  func result(_ text: String) {
    guard !isJSON else { return }
    progress.clear()
    Self.write(text, to: .standardOutput)
  }

  /// The result for machines; nothing unless asked for.
  func json(_ text: @autoclosure () throws -> String) rethrows {
    guard isJSON else { return }
    progress.clear()
    Self.write(try text(), to: .standardOutput)
  }

  /// What helps to follow the work and is no result.
  func note(_ text: String) {
    guard !isQuiet else { return }
    progress.clear()
    Self.write(text, to: .standardError)
  }

  func warn(_ text: String) {
    progress.clear()
    Self.complain(text, as: .warning)
  }

  enum Kind: String {
    case error, warning, note

    fileprivate var color: String {
      switch self {
      case .error: "31"
      case .warning: "33"
      case .note: "36"
      }
    }
  }

  /// `error: …` on standard error, in colour where the terminal has them.
  static func complain(_ text: String, as kind: Kind) {
    let environment = ProcessInfo.processInfo.environment
    let isColored =
      isatty(FileHandle.standardError.fileDescriptor) != 0 && environment["NO_COLOR", default: ""].isEmpty
      && environment["TERM"] != "dumb"
    let label = isColored ? "\u{1B}[1;\(kind.color)m\(kind.rawValue):\u{1B}[0m" : "\(kind.rawValue):"
    write("\(label) \(text)", to: .standardError)
  }

  fileprivate static func write(_ text: String, to handle: FileHandle) {
    // A reader that has gone away is no reason to lose a run.
    try? handle.write(contentsOf: Data((text.hasSuffix("\n") ? text : text + "\n").utf8))
  }
}

/// Flags that every command has.
struct ConsoleOptions: ParsableArguments {
  @Flag(help: "Write the result as one JSON value on standard output.")
  var json = false

  @Flag(name: .shortAndLong, help: "Write the result only: no progress, no messages but warnings and errors.")
  var quiet = false

  @Flag(help: "Show no progress.")
  var noProgress = false
}
