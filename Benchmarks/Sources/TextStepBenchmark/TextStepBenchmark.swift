import Adapters
import ArgumentParser
import Contestants
import Foundation
import NeuralNetworks
import Peers
import Tensors

/// One training step of LoRA on the queries and values of MiniLM-L6, ours against transformers with PEFT, taking turns in
/// one run.
@main struct TextStepBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Times training steps of LoRA on MiniLM-L6 against transformers and PEFT, alternating.",
    discussion: "The peers need the packages of peers/requirements.txt; name the interpreter that has them.")

  @Option(help: "The Python interpreter of the peers.") var python = "python3"
  @Option(help: "The folder of the peers' scripts.") var peers = "Benchmarks/peers"
  @Option(help: "Counted rounds; each runs every contestant once.") var rounds = 15
  @Option(help: "Texts in a batch.") var batch = 32
  @Option(help: "Tokens in a text.") var length = 128
  @Option(help: "Threads of every contestant.") var threads = 2

  func run() throws {
    Threads.count = threads
    let script = URL(fileURLWithPath: peers).appendingPathComponent("text_step_peft.py")
    let running = try [("transformers", "forward"), ("transformers + PEFT", "lora")].map { name, mode in
      try Peer(
        name, python: python, script: script,
        arguments: ["--mode", mode, "--batch", "\(batch)", "--length", "\(length)"], threads: threads)
    }
    defer { running.forEach { $0.quit() } }
    let steps = try Steps<TextTransformer>(batch: batch, length: length)
    let lora = try steps.backbone.adapted(by: .lora(rank: 8, alpha: 8), at: .queryAndValue)
    let pairs: [(name: String, ours: () throws -> Double, peer: Peer)] = [
      ("frozen forward", steps.forward(), running[0]), ("LoRA step", try steps.training(lora), running[1]),
    ]
    for _ in 0..<2 { for pair in pairs { _ = (try pair.ours(), try pair.peer.step()) } }
    var ours = [[Double]](repeating: [], count: pairs.count)
    var theirs = ours
    for _ in 0..<rounds {
      for (index, pair) in pairs.enumerated() {
        ours[index].append(try pair.ours())
        theirs[index].append(try pair.peer.step())
      }
    }
    print("MiniLM-L6, batch \(batch), length \(length), \(threads) threads, \(rounds) rounds in turn")
    for (index, pair) in pairs.enumerated() {
      let ratio = median(zip(theirs[index], ours[index]).map { $0 / $1 })
      print(
        String(
          format: "  \(pair.name): median %.3f s, \(pair.peer.name) %.3f s; %.2f times its throughput",
          median(ours[index]),
          median(theirs[index]), ratio))
    }
    // Both contestants of ours share this process; the peers have one each, and the step's is the larger.
    let (mine, peer) = (Memory.now.peakResident, try running[1].memory())
    print(
      String(
        format: "  peak resident memory: \(mine >> 20) MiB, \(running[1].name) \(peer >> 20) MiB; %.2f of it",
        Double(mine) / Double(peer)))
  }
}
