import Adapters
import ArgumentParser
import Formats
import Foundation
import Mixing
import NeuralNetworks
import Peers
import Tensors

/// LoRAs of BERT-base's shapes mixed to one, ours against PEFT's `add_weighted_adapter`, taking turns in one run.
@main struct MixingBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Times the mixing of LoRAs by TIES and by SVD against PEFT's add_weighted_adapter, alternating.",
    discussion: "The peers need the packages of peers/requirements.txt; name the interpreter that has them.")

  enum Maps: String, ExpressibleByArgument, CaseIterable {
    case queryValue = "query-value"
    case allLinear = "all-linear"

    var targets: Targets {
      self == .queryValue ? .queryAndValue : [.query, .key, .value, .proj, .fc1, .fc2]
    }
  }

  @Option(help: "The Python interpreter of the peers.") var python = "python3"
  @Option(help: "The folder of the peers' scripts.") var peers = "Benchmarks/peers"
  @Option(help: "Counted rounds; each runs every contestant once.") var rounds = 3
  @Option(help: "LoRAs to mix.") var count = 10
  @Option(help: "Their rank, and the result's.") var rank = 8
  @Option(help: "query-value or all-linear.") var maps = Maps.queryValue
  @Option(help: "What PEFT calls it: ties, svd, ties_svd.") var kinds = ["ties", "svd", "ties_svd"]
  @Option(help: "Threads of every contestant; libtorch's own choice if left out.") var threads: Int?

  func run() throws {
    if let threads { Threads.count = threads }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("graft-mixing-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let members = try members()
    try write(members, to: folder.appendingPathComponent("loras.safetensors"))
    print("\(count) LoRAs of rank \(rank) at \(members[0].model.adapter.sites.count) maps, \(Threads.count) threads")
    for kind in kinds { try compare(kind, members, folder) }
  }

  private func compare(_ kind: String, _ members: [MixMember], _ folder: URL) throws {
    let trim = TIES(density: 0.25, agreement: .count)
    let mix: Mix
    switch kind {
    case "ties": mix = Mix(members, by: trim, space: .peftFactors)
    case "ties_svd": mix = Mix(members, by: trim, form: .rank(rank))
    case "svd": mix = Mix(members, by: TaskArithmetic(), form: .rank(rank))
    default: throw ValidationError("--kinds are ties, svd and ties_svd.")
    }
    var result: MixResult?
    let ours: () throws -> Double = { try timed { result = try mix.result() } }
    let peer = try Peer(
      "PEFT", python: python, script: URL(fileURLWithPath: peers).appendingPathComponent("mixing_peft.py"),
      arguments: ["--folder", folder.path, "--kind", kind], threads: Threads.count)
    defer { peer.quit() }
    _ = try ours()
    var (mine, theirs): ([Double], [Double]) = ([], [])
    for _ in 0..<rounds {
      mine.append(try ours())
      theirs.append(try peer.step())
    }
    guard let result else { return }
    let ratio = median(zip(theirs, mine).map { $0 / $1 })
    print(
      String(
        format: "  \(kind): Graft median %.3f s, from %.3f to %.3f; PEFT %.3f s, from %.3f to %.3f; %.0f times faster",
        arguments: [
          median(mine), mine.min() ?? 0, mine.max() ?? 0, median(theirs), theirs.min() ?? 0, theirs.max() ?? 0, ratio,
        ]))
    let memory = (ours: Memory.now.peakResident, theirs: try peer.memory())
    print(
      String(
        format: "    peak memory of the process %.0f MB, of PEFT's %.0f MB; deviation %.1e",
        arguments: [Double(memory.ours) / 1e6, Double(memory.theirs) / 1e6, try deviation(result, kind, folder)]))
  }

  /// The largest relative difference of a `ΔW` from PEFT's.
  private func deviation(_ result: MixResult, _ kind: String, _ folder: URL) throws -> Double {
    let answers = try SafetensorsFile(contentsOf: folder.appendingPathComponent("\(kind).safetensors"))
    let (backbone, adapter) = (result.model.backbone, result.model.adapter)
    return try answers.tensors.map { info in
      guard let site = adapter.sites.first(where: { $0.name == info.name }),
        let found = try adapter.delta(of: backbone.linear(at: site))?.weight?.materialized().detached()
      else { throw PeerError(peer: "PEFT", answer: "another place: \(info.name)") }
      let answer = try answers.tensor(info.name)
      let distance: Double = try (found - answer).norm().item()
      return distance / (try answer.norm().item() as Double)
    }.max() ?? 0
  }

  private func members() throws -> [MixMember] {
    let backbone = try EncoderMaps()
    return try (0..<count).map { index in
      let generator = try Generator(seed: UInt64(index + 2))
      let model = try backbone.adapted(by: LoRA(rank: rank), at: maps.targets)
      for parameter in model.adapter.parameters {
        try parameter.load(.normal(parameter.value.shape, deviation: 0.02, from: generator))
      }
      return MixMember("m\(index)", model, weight: 0.6 / Double(index + 1))
    }
  }

  private func write(_ members: [MixMember], to url: URL) throws {
    var writer = SafetensorsWriter()
    try writer.add("weights", Tensor(members.map(\.weight)))
    for member in members {
      for parameter in member.model.adapter.parameters {
        try writer.add("\(member.name)/\(parameter.name)", parameter.value.detached())
      }
    }
    try writer.write(to: url)
  }
}
