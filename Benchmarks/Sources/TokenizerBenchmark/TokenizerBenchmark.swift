import ArgumentParser
import Formats
import Foundation
import Peers
import Tokenizers

/// Texts a second, ours against the `tokenizers` package on one thread, taking turns in one run.
@main struct TokenizerBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Times the encoding of texts against the tokenizers package, alternating, and compares every id.",
    discussion: "The peers need the packages of peers/requirements.txt; name the interpreter that has them.")

  @Argument(help: "The folder of a tokenizer.json.") var tokenizer: String
  @Argument(help: "A file of texts, one a line.") var texts: String
  @Option(help: "The Python interpreter of the peers.") var python = "python3"
  @Option(help: "The folder of the peers' scripts.") var peers = "Benchmarks/peers"
  @Option(help: "Counted rounds; each runs every contestant once.") var rounds = 9

  func run() throws {
    let folder = URL(fileURLWithPath: tokenizer)
    let lines = try String(contentsOf: URL(fileURLWithPath: texts), encoding: .utf8)
      .split(separator: "\n").map(String.init)
    let ours = try Tokenizer(from: folder)
    let answer = FileManager.default.temporaryDirectory.appendingPathComponent("graft-tokenizer-\(getpid())")
    defer { try? FileManager.default.removeItem(at: answer) }

    let running = try [("encode_batch", "batch"), ("encode, one by one", "loop")].map { name, mode in
      try Peer(
        name, python: python, script: URL(fileURLWithPath: peers).appendingPathComponent("tokenizer_encode.py"),
        arguments: ["--folder", folder.path, "--texts", texts, "--answer", answer.path, "--mode", mode], threads: 1)
    }
    defer { running.forEach { $0.quit() } }

    var ids = Data()
    let tokens = try lines.reduce(0) { count, line in
      let encoding = try ours.encode(line)
      for id in encoding.ids { withUnsafeBytes(of: id.littleEndian) { ids.append(contentsOf: $0) } }
      return count + encoding.count
    }
    let digest = try String(contentsOf: answer, encoding: .utf8)
    guard digest == FileDigest.sha256(of: ids) else { throw PeerError(peer: "tokenizers", answer: "other ids") }

    var mine: [Double] = []
    var theirs = [[Double]](repeating: [], count: running.count)
    for _ in 0..<rounds {
      var count = 0
      mine.append(try timed { for line in lines { count += try ours.encode(line).count } })
      guard count == tokens else { throw PeerError(peer: "Graft", answer: "another count of tokens: \(count)") }
      for (index, peer) in running.enumerated() { theirs[index].append(try peer.step()) }
    }
    print("\(lines.count) texts, \(tokens) tokens, one thread; the same ids")
    report("Graft", mine, lines.count)
    for (peer, seconds) in zip(running, theirs) {
      report("tokenizers, \(peer.name)", seconds, lines.count)
      print(String(format: "    Graft %.1f times faster", median(zip(seconds, mine).map { $0 / $1 })))
    }
  }

  private func report(_ name: String, _ seconds: [Double], _ count: Int) {
    let rates = seconds.map { Double(count) / $0 }
    print(
      "  \(name):"
        + String(
          format: " median %.0f texts a second, from %.0f to %.0f", median(rates), rates.min() ?? 0, rates.max() ?? 0))
  }
}
