import Adapters
import ArgumentParser
import Contestants
import Foundation
import NeuralNetworks
import Peers
import Tensors

/// One training step of ViT-S/16 at 224 pixels, ours against the Python peers, taking turns in one run.
@main struct StepBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Times training steps of LoRA and K-MoA against PEFT and the dense formulation, alternating.",
    discussion: "The peers need the packages of peers/requirements.txt; name the interpreter that has them.")

  @Option(help: "The Python interpreter of the peers.") var python = "python3"
  @Option(help: "The folder of the peers' scripts.") var peers = "Benchmarks/peers"
  @Option(help: "Counted rounds; each runs every contestant once.") var rounds = 15
  @Option(help: "Images in a batch.") var batch = 8
  @Option(help: "Threads of every contestant.") var threads = 2
  @Flag(help: "Leave the peers out.") var alone = false

  func run() throws {
    Threads.count = threads
    let steps = try Steps(batch: batch)
    let lora = try steps.backbone.adapted(by: .lora(rank: 8, alpha: 8), at: .allLinear)
    let mixture = try steps.backbone.adapted(by: .mixture(of: .kronecker(dimension: 64)))
    var contestants: [(name: String, step: () throws -> Double)] = [
      ("frozen forward", steps.forward()), ("forward + input gradient", try steps.inputGradient()),
      ("LoRA", try steps.training(lora)), ("K-MoA", try steps.training(mixture)),
    ]
    var running: [Peer] = []
    defer { running.forEach { $0.quit() } }
    if !alone {
      for (name, script, extra) in [
        ("timm frozen forward", "step_frozen.py", ["--mode", "forward"]),
        ("timm forward + input gradient", "step_frozen.py", ["--mode", "input-gradient"]),
        ("PEFT LoRA", "step_peft.py", ["--mode", "lora"]), ("dense MoA", "step_moa_dense.py", ["--mode", "train"]),
        ("dense MoA, memory kept", "step_moa_dense.py", ["--mode", "train", "--keep-memory"]),
      ] {
        let file = URL(fileURLWithPath: peers).appendingPathComponent(script)
        let peer = try Peer(
          name, python: python, script: file, arguments: extra + ["--batch", "\(batch)"], threads: threads)
        running.append(peer)
        contestants.append((name, peer.step))
      }
    }
    for _ in 0..<2 { for contestant in contestants { _ = try contestant.step() } }
    var seconds = [String: [Double]]()
    for _ in 0..<rounds {
      for contestant in contestants { seconds[contestant.name, default: []].append(try contestant.step()) }
    }
    report(contestants.map(\.name), seconds)
  }

  private func report(_ names: [String], _ seconds: [String: [Double]]) {
    func pad(_ text: String, _ width: Int) -> String {
      text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
    }
    print("\(pad("step", 32)) median s   min s   max s")
    for name in names {
      guard let values = seconds[name], let least = values.min(), let most = values.max() else { continue }
      print(pad(name, 32), String(format: "%8.3f %7.3f %7.3f", median(values), least, most))
    }
    for (peer, ours) in [
      ("timm frozen forward", "frozen forward"), ("timm forward + input gradient", "forward + input gradient"),
      ("PEFT LoRA", "LoRA"), ("dense MoA", "K-MoA"), ("dense MoA, memory kept", "K-MoA"),
    ] {
      guard let theirs = seconds[peer], let mine = seconds[ours] else { continue }
      let ratio = median(zip(theirs, mine).map { $0 / $1 })
      print(
        "\(ours): \(String(format: "%.2f", ratio)) times the throughput of \(peer) (median of ratios, round by round)")
    }
    let memory = Memory.now
    print("our peak: tensors \(memory.peak >> 20) MiB, resident \(memory.peakResident >> 20) MiB")
  }
}
