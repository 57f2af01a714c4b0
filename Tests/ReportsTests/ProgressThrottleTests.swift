import Testing

@testable import Reports

@Suite struct ProgressThrottleTests {
  @Test func `a terminal is written ten times a second, and at the end`() {
    var throttle = ProgressThrottle(.terminal(interval: 0.1))
    let times = [0.0, 0.05, 0.0999, 0.1, 0.15, 0.25, 0.26]
    let printed = times.enumerated().map { index, time in
      throttle.shouldPrint(at: time, completed: index, total: 6)
    }
    #expect(printed == [true, false, false, true, false, true, true])
  }

  @Test func `a log gets one line every so many steps, and the last`() {
    var throttle = ProgressThrottle(.lines(every: 4))
    let printed = (0...10).filter { throttle.shouldPrint(at: 0, completed: $0, total: 10) }
    #expect(printed == [4, 8, 10])
    var everyStep = ProgressThrottle(.lines(every: 0))
    #expect((0...2).filter { everyStep.shouldPrint(at: 0, completed: $0, total: nil) } == [1, 2])
  }

  @Test func `nothing is printed where it is off`() {
    var throttle = ProgressThrottle(.off)
    let isPrinted = throttle.shouldPrint(at: 0, completed: 10, total: 10)
    #expect(!isPrinted)
  }

  @Test func `CI and dumb terminals are logs`() {
    func mode(_ isTerminal: Bool, _ environment: [String: String]) -> ProgressThrottle.Mode {
      ProgressThrottle(isTerminal: isTerminal, environment: environment, every: 50).mode
    }
    #expect(mode(true, ["TERM": "xterm"]) == .terminal(interval: 0.1))
    #expect(mode(true, ["CI": "false"]) == .terminal(interval: 0.1))
    #expect(mode(true, ["CI": "true"]) == .lines(every: 50))
    #expect(mode(true, ["TERM": "dumb"]) == .lines(every: 50))
    #expect(mode(false, [:]) == .lines(every: 50))
  }
}
