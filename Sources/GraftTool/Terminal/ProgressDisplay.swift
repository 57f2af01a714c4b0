import Foundation
import Reports
import Synchronization

/// Progress on standard error: a line that rewrites itself on a terminal, now and then a line elsewhere.
final class ProgressDisplay: Sendable {
  private struct State {
    var label: String?
    var total: Int?
    var started = 0.0
    var first = 0
    var throttle = ProgressThrottle(.off)
    var isShown = false
  }

  private let isOn: Bool
  private let isTerminal: Bool
  private let environment: [String: String]
  private let state = Mutex(State())

  init(isOn: Bool, environment: [String: String] = ProcessInfo.processInfo.environment) {
    self.isOn = isOn
    self.environment = environment
    isTerminal = isatty(FileHandle.standardError.fileDescriptor) != 0
  }

  /// Shows how far something is; another label or total begins anew.
  func show(
    _ label: String, _ completed: Int, of total: Int?, metrics: [(name: String, value: String)] = []
  ) {
    guard isOn else { return }
    let now = ProcessInfo.processInfo.systemUptime
    state.withLock { state in
      // Another total under the same label is another part of the work, with a pace of its own.
      if state.label != label || state.total != total {
        if state.label != label { finish(&state) }
        let isShown = state.isShown
        state = State(label: label, total: total, started: now, first: completed, isShown: isShown)
        state.throttle = ProgressThrottle(
          isTerminal: isTerminal, environment: environment, every: max(1, (total ?? 1_000) / 10))
      }
      guard state.throttle.shouldPrint(at: now, completed: completed, total: total) else { return }
      let elapsed = now - state.started
      let done = completed - state.first
      let line = ProgressLine(
        label, completed: completed, total: total, elapsed: elapsed,
        rate: done > 0 && elapsed > 0 ? Double(done) / elapsed : nil, metrics: metrics,
        style: environment["TERM"] == "dumb" ? .ascii : .blocks)
      switch state.throttle.mode {
      case .terminal:
        write("\r" + line.text(columns: columns) + "\u{1B}[K" + (completed == total ? "\n" : ""))
        state.isShown = completed != total
      default: write(line.text() + "\n")
      }
      if completed == total { state.label = nil }
    }
  }

  /// Makes room for a message; the next `show` draws the line again.
  func clear() {
    guard isOn else { return }
    state.withLock { state in
      if state.isShown { write("\r\u{1B}[K") }
      state.isShown = false
    }
  }

  private func finish(_ state: inout State) {
    if state.isShown { write("\n") }
    state.isShown = false
  }

  /// The terminal's width, one less so that the cursor does not wrap.
  private var columns: Int {
    if let set = environment["COLUMNS"].flatMap(Int.init), set > 0 { return min(set, 500) - 1 }
    var size = winsize()
    guard ioctl(FileHandle.standardError.fileDescriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else {
      return 79
    }
    return Int(size.ws_col) - 1
  }

  private func write(_ text: String) {
    try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
  }
}
