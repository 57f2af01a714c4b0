import Adapters
import ArgumentParser
import Contestants
import Foundation
import NeuralNetworks
import Peers
import Tensors

/// One training step of every method over the frozen forward with the input's gradient, and over PEFT's where PEFT has the
/// method; then a merged forward over the frozen one. All take turns in one run.
@main struct MethodsBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Times a training step of every method on ViT-S/16, beside PEFT's, alternating.",
    discussion: "The peers need the packages of peers/requirements.txt; name the interpreter that has them.")

  @Option(help: "The Python interpreter of the peers.") var python = "python3"
  @Option(help: "The folder of the peers' scripts.") var peers = "Benchmarks/peers"
  @Option(help: "Counted rounds; each runs every contestant once.") var rounds = 9
  @Option(help: "Images in a batch.") var batch = 8
  @Option(help: "Threads of every contestant.") var threads = 2
  @Option(parsing: .upToNextOption, help: "Only these methods, by their names in files.") var methods: [String] = []
  @Flag(help: "Leave the peers out.") var alone = false

  /// A method, where it sits, and PEFT's mode for the same in `step_peft.py`.
  private struct Row {
    let name: String
    let model: AdaptedModel
    let peer: String?
  }

  func run() throws {
    Threads.count = threads
    let steps = try Steps(batch: batch)
    let rows = try rows(on: steps.backbone)
    var contestants: [(name: String, step: () throws -> Double)] = [
      (Self.floor, try steps.inputGradient()), (Self.forward, steps.forward()),
    ]
    if let merged = try merged(steps.backbone) { contestants.append((Self.merged, steps.forward(merged))) }
    for row in rows { contestants.append((row.name, try steps.training(row.model))) }
    var running: [Peer] = []
    defer { running.forEach { $0.quit() } }
    if !alone {
      for row in rows {
        guard let mode = row.peer else { continue }
        let peer = try Peer(
          "PEFT \(row.name)", python: python,
          script: URL(fileURLWithPath: peers).appendingPathComponent("step_peft.py"),
          arguments: ["--mode", mode, "--batch", "\(batch)"], threads: threads)
        running.append(peer)
        contestants.append((peer.name, peer.step))
      }
    }
    for _ in 0..<2 { for contestant in contestants { _ = try contestant.step() } }
    var seconds: [String: [Double]] = [:]
    for _ in 0..<rounds {
      for contestant in contestants { seconds[contestant.name, default: []].append(try contestant.step()) }
    }
    report(rows, seconds)
  }

  private static let floor = "forward + input gradient"
  private static let forward = "frozen forward"
  private static let merged = "forward, Consolidator merged"

  private func rows(on backbone: VisionTransformer) throws -> [Row] {
    func row<Configuration: AdapterConfiguration>(
      _ name: String, _ configuration: Configuration, at targets: Targets? = nil, peer: String? = nil
    ) throws -> Row? {
      guard methods.isEmpty || methods.contains(Configuration.method.lowercased()) else { return nil }
      return Row(name: name, model: try backbone.adapted(by: configuration, at: targets), peer: peer)
    }
    return try [
      row("Linear probe", LinearProbe()), row("BitFit", BiasTuning()), row("LayerNorm tuning", LayerNormTuning()),
      row("LoRA", LoRA(rank: 8, alpha: 8), at: .allLinear, peer: "lora"),
      row("DoRA", DoRA(rank: 8, alpha: 8), at: .allLinear, peer: "dora"),
      row("LoHa", LoHa(rank: 8), at: .allLinear, peer: "loha"),
      row("LoKr", LoKr(rank: 8), at: .allLinear, peer: "lokr"),
      row("(IA)³", IA3(), at: [.qkv, .fc2], peer: "ia3"),
      row("Consolidator, DropPath 0", Self.consolidator(0)),
      row("Consolidator, DropPath 0.5", Self.consolidator(0.5)),
      row("RepAdapter", RepAdapter()), row("SSF", SSF()),
      row("Houlsby", Houlsby(width: 8)), row("Pfeiffer", Pfeiffer(width: 16)),
      row("Parallel adapter", ParallelAdapter()), row("AdaptFormer", AdaptFormer()), row("Adapter+", AdapterPlus()),
      row("VPT, 10 at each block", PromptTuning(tokens: 10)), row("Kronecker", KroneckerAdapter(dimension: 64)),
      row("K-MoA", MixtureOfAdapters()), row("Full fine-tuning", FullFineTuning()),
    ].compactMap(\.self)
  }

  /// Blocks two channels wide at every site, as published for ViT-B with 384 groups.
  private static func consolidator(_ dropPath: Double) -> Consolidator {
    var configuration = Consolidator(groups: [192])
    configuration.dropPath = dropPath
    return configuration
  }

  /// The backbone with a Consolidator in its weights.
  private func merged(_ backbone: VisionTransformer) throws -> (any Adaptation)? {
    guard methods.isEmpty || methods.contains(Consolidator.method.lowercased()) else { return nil }
    struct Merged: Adaptation {
      let linears: [String: Linear]
      func output(of linear: Linear, input: Tensor, pass: ForwardPass) throws -> Tensor {
        try (linears[linear.site.name] ?? linear)(input)
      }
    }
    let adapter = try backbone.adapted(by: Self.consolidator(0)).adapter
    var linears: [String: Linear] = [:]
    for site in backbone.sites {
      let linear = try backbone.linear(at: site)
      guard let delta = try adapter.delta(of: linear) else { continue }
      linears[site.name] = try withoutGradients {
        Linear(
          site: site, weight: try delta.weight?.merged(into: linear.weight).detached() ?? linear.weight,
          bias: try delta.bias.map { shift in try linear.bias.map { try ($0 + shift).detached() } ?? shift }
            ?? linear.bias)
      }
    }
    return Merged(linears: linears)
  }

  private func report(_ rows: [Row], _ seconds: [String: [Double]]) {
    func ratio(_ one: String, _ other: String) -> String {
      guard let one = seconds[one], let other = seconds[other] else { return "" }
      return String(format: "%.2f", median(zip(one, other).map { $0 / $1 }))
    }
    func time(_ name: String) -> String {
      seconds[name].map { String(format: "%.3f", median($0)) } ?? ""
    }
    print("\(rounds) rounds, batch \(batch), \(threads) threads; medians, and medians of the ratios round by round")
    print("\(Self.forward): \(time(Self.forward)) s")
    print("\(Self.floor): \(time(Self.floor)) s")
    if seconds[Self.merged] != nil {
      print("\(Self.merged): \(time(Self.merged)) s, \(ratio(Self.merged, Self.forward)) of the frozen forward")
    }
    print("")
    print("| method | parameters | step, s | over forward + input gradient | PEFT's step, s | PEFT's over ours |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows {
      let peer = "PEFT \(row.name)"
      let cells = [
        row.name, "\(row.model.adapter.parameterCount)", time(row.name), ratio(row.name, Self.floor), time(peer),
        ratio(peer, row.name),
      ]
      print("| \(cells.joined(separator: " | ")) |")
    }
  }
}
