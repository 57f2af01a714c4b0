import Adapters
import ArgumentParser
import Foundation
import NeuralNetworks
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
    let backbone = try RandomBackbone.visionTransformerSmall()
    let generator = try Generator(seed: 2)
    let images = try Tensor.normal([batch, 3, 224, 224], from: generator)
    let labels = try Tensor((0..<batch).map { Int64($0 % 7) })

    var contestants: [(name: String, step: () throws -> Double)] = []
    contestants.append(("frozen forward", try frozen(backbone, images, gradient: false)))
    contestants.append(("forward + input gradient", try frozen(backbone, images, gradient: true)))
    contestants.append(
      ("LoRA", try training(backbone.adapted(by: .lora(rank: 8, alpha: 8), at: .allLinear), images, labels)))
    contestants.append(
      (
        "K-MoA",
        try training(
          backbone.adapted(by: .mixture(of: .kronecker(dimension: 64)), at: .qkv, blocks: .everySecond), images, labels)
      ))
    var running: [Peer] = []
    defer { running.forEach { $0.quit() } }
    if !alone {
      for (name, script, extra) in [
        ("timm frozen forward", "step_frozen.py", ["--mode", "forward"]),
        ("timm forward + input gradient", "step_frozen.py", ["--mode", "input-gradient"]),
        ("PEFT LoRA", "step_lora_peft.py", []), ("dense MoA", "step_moa_dense.py", ["--mode", "train"]),
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
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
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

  private func frozen(_ backbone: VisionTransformer, _ images: Tensor, gradient: Bool) throws -> () throws -> Double {
    let input = try images.clone()
    if gradient { try input.requiringGradient() }
    return {
      try timed {
        if gradient {
          try backbone.features(input).sum().backward()
          try input.setGradient(nil)
        } else {
          _ = try withoutGradients { try backbone.features(input) }
        }
      }
    }
  }

  private func training(_ adapted: AdaptedModel, _ images: Tensor, _ labels: Tensor) throws -> () throws -> Double {
    var model = adapted
    model.head = try Head(
      classes: (0..<7).map(String.init), features: model.backbone.featureWidth, generator: Generator(seed: 3))
    let trained = model
    let values = trained.parameters.map(\.value)
    let means = try values.map { try $0.detached().zerosLike() }
    let squares = try values.map { try $0.detached().zerosLike() }
    let steps = try values.map { _ in try Tensor.zeros([]) }
    let adam = AdamStep(rate: 5e-5)
    let generator = try Generator(seed: 4)
    return {
      try timed {
        let pass = ForwardPass(.training(generator))
        var loss = try trained.logits(images, pass: pass).crossEntropy(labels)
        for auxiliary in pass.auxiliaryLosses { loss = try loss + auxiliary }
        try loss.backward()
        let gradients = try values.map { try $0.gradient() ?? $0.detached().zerosLike() }
        try adam(parameters: values, gradients: gradients, means: means, squares: squares, steps: steps)
        for value in values { try value.setGradient(nil) }
      }
    }
  }
}

func timed(_ body: () throws -> Void) rethrows -> Double {
  let start = ContinuousClock.now
  try body()
  let elapsed = ContinuousClock.now - start
  return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
}
