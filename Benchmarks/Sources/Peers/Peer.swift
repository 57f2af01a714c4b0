import Foundation

/// A Python process that runs one step each time it is asked, and says how long it took.
public final class Peer {
  public let name: String
  private let process = Process()
  private let requests = Pipe()
  private let answers = Pipe()
  private var buffer = Data()

  /// Starts the peer and waits until it has warmed up.
  public init(_ name: String, python: String, script: URL, arguments: [String], threads: Int) throws {
    self.name = name
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [python, script.path, "--serve", "--threads", "\(threads)"] + arguments
    process.standardInput = requests
    process.standardOutput = answers
    try process.run()
    guard try line().contains("\"ready\": true") else { throw PeerError(peer: name, answer: "not ready") }
  }

  /// Seconds of one step.
  public func step() throws -> Double {
    let answer = try ask("step")
    guard let seconds = Double(answer) else { throw PeerError(peer: name, answer: answer) }
    return seconds
  }

  /// The largest resident size so far, in bytes.
  public func memory() throws -> Int {
    let answer = try ask("memory")
    guard let bytes = Int(answer) else { throw PeerError(peer: name, answer: answer) }
    return bytes
  }

  public func quit() {
    _ = try? requests.fileHandleForWriting.write(contentsOf: Data("quit\n".utf8))
    process.waitUntilExit()
  }

  private func ask(_ request: String) throws -> String {
    try requests.fileHandleForWriting.write(contentsOf: Data("\(request)\n".utf8))
    return try line()
  }

  private func line() throws -> String {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let text = String(decoding: buffer[buffer.startIndex..<end], as: UTF8.self)
        buffer.removeSubrange(buffer.startIndex...end)
        return text
      }
      let more = answers.fileHandleForReading.availableData
      guard !more.isEmpty else { throw PeerError(peer: name, answer: "it ended; its message is above") }
      buffer.append(more)
    }
  }
}

public struct PeerError: Error, CustomStringConvertible {
  public let peer: String
  public let answer: String

  public init(peer: String, answer: String) {
    self.peer = peer
    self.answer = answer
  }

  public var description: String { "The peer \(peer) answered: \(answer)" }
}
