import Adapters
import ArgumentParser
import Formats
import Foundation
import Peers
import Tensors

/// The weighted sum of several LoRAs brought back to their rank, ours against PEFT's, taking turns in one run.
@main struct RecombinationBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Times the recombination of LoRAs against PEFT's add_weighted_adapter by SVD, alternating.",
    discussion: "The peers need the packages of peers/requirements.txt; name the interpreter that has them.")

  @Option(help: "The Python interpreter of the peers.") var python = "python3"
  @Option(help: "The folder of the peers' scripts.") var peers = "Benchmarks/peers"
  @Option(help: "Counted rounds; each runs every contestant once.") var rounds = 9
  @Option(help: "LoRAs to recombine.") var count = 4
  @Option(help: "Their rank, and the result's.") var rank = 8
  @Option(help: "Threads of every contestant; libtorch's own choice if left out.") var threads: Int?

  func run() throws {
    if let threads { Threads.count = threads }
    for (outFeatures, inFeatures) in [(768, 768), (3072, 768)] { try compare(outFeatures, inFeatures) }
  }

  private func compare(_ outFeatures: Int, _ inFeatures: Int) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("graft-recombination-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }

    let loras = try updates(outFeatures, inFeatures)
    let weights = (0..<count).map { 0.6 / Double($0 + 1) }
    try write(loras, weights, to: folder.appendingPathComponent("loras.safetensors"))

    var result: LowRankApproximation?
    // As long as the peer's turn takes: once is over before clock and caches have settled after it.
    let repetitions = 64
    let ours: () throws -> Double = {
      let seconds = try timed {
        for _ in 0..<repetitions { result = try SumDelta(Array(zip(weights, loras))).approximation(rank: rank) }
      }
      return seconds / Double(repetitions)
    }
    let script = URL(fileURLWithPath: peers).appendingPathComponent("recombination_peft.py")
    let running = try [("PEFT", "full"), ("PEFT, thin SVD", "thin")].map { name, matrices in
      try Peer(
        name, python: python, script: script,
        arguments: ["--folder", folder.path, "--answer", "\(matrices).safetensors", "--matrices", matrices],
        threads: Threads.count)
    }
    defer { running.forEach { $0.quit() } }

    for _ in 0..<3 { _ = try ours() }
    var mine: [Double] = []
    var theirs = [[Double]](repeating: [], count: running.count)
    for _ in 0..<rounds {
      mine.append(try ours())
      for (index, peer) in running.enumerated() { theirs[index].append(try peer.step()) }
    }
    guard let delta = try result?.delta.materialized() else { return }
    print("\(count) LoRAs of rank \(rank) on \(outFeatures) × \(inFeatures), \(Threads.count) threads")
    print(
      String(
        format: "  Graft: median %.3f ms, from %.3f to %.3f",
        arguments: milliseconds(median(mine), mine.min(), mine.max())))
    for (peer, (matrices, seconds)) in zip(running, zip(["full", "thin"], theirs)) {
      let answer = try SafetensorsFile(contentsOf: folder.appendingPathComponent("\(matrices).safetensors"))
        .tensor("delta")
      let deviation = try (delta - answer).norm().item() / answer.norm().item()
      let ratio = median(zip(seconds, mine).map { $0 / $1 })
      print(
        String(
          format: "  \(peer.name): median %.1f ms, from %.1f to %.1f; Graft %.0f times faster, deviation %.1e",
          arguments: milliseconds(median(seconds), seconds.min(), seconds.max()) + [ratio, deviation]))
      guard deviation <= 1e-4 else { throw PeerError(peer: peer.name, answer: "another ΔW: \(deviation) relative") }
    }
  }

  private func milliseconds(_ seconds: Double?...) -> [Double] { seconds.map { ($0 ?? .nan) * 1000 } }

  private func updates(_ outFeatures: Int, _ inFeatures: Int) throws -> [LowRankDelta] {
    let generator = try Generator(seed: 1)
    return try (0..<count).map { _ in
      LowRankDelta(
        down: try .normal([rank, inFeatures], deviation: 0.02, from: generator),
        up: try .normal([outFeatures, rank], deviation: 0.02, from: generator), scale: 2)
    }
  }

  private func write(_ loras: [LowRankDelta], _ weights: [Double], to url: URL) throws {
    var writer = SafetensorsWriter()
    try writer.add("weights", Tensor(weights))
    for (index, lora) in loras.enumerated() {
      try writer.add("lora\(index).lora_A", lora.down)
      try writer.add("lora\(index).lora_B", lora.up)
    }
    try writer.write(to: url)
  }
}
