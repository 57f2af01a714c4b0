import ArgumentParser
import Foundation
import NeuralNetworks
import Peers
import Tensors
import Training

/// Optimizer steps of sparse meta-tuning beside dense meta-tuning and beside the same experts left to the graph, on the same
/// episodes, each in a process of its own, for its memory.
@main struct MetaStepBenchmark: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Times steps of meta-tuning: dense, sparse experts in closed form, and through the graph over all masks.",
    discussion: """
      A step is the mean loss of some 5-way 5-shot episodes of random images, their gradients, and everything that moves. Sparse \
      experts include the frozen backbone's features of the support images and the hypernetwork; with --distill both are with \
      a teacher. The contestants take turns, round by round.
      """)

  @Option(help: "A folder with a pretrained vision transformer; 'scripts/fetch vit-s14' gets the default.")
  var model = "~/.cache/graft/models/vit-s14"
  @Option(parsing: .upToNextOption, help: "Sides of the images, pixels.") var sizes = [56, 112]
  @Option(parsing: .upToNextOption, help: "Numbers of experts.") var experts = [4, 8]
  @Option(help: "Query images of each of the 5 classes.") var queries = 10
  @Option(help: "Episodes of one step.") var tasks = 4
  @Option(help: "Rounds; each runs every contestant in a new process.") var rounds = 3
  @Option(help: "Counted steps of each process, after one that is not.") var steps = 3
  @Option(help: "Threads of every contestant.") var threads = 2
  @Flag(help: "Leave out what goes through the graph.") var closedFormOnly = false
  @Flag(inversion: .prefixedNo, help: "Also with a teacher.") var distilled = true
  @Option(help: .hidden) var contestant: Contestant?
  @Flag(help: .hidden) var distill = false

  func validate() throws {
    guard [queries, tasks, rounds, steps, threads].allSatisfy({ $0 > 0 }), (experts + sizes).allSatisfy({ $0 > 0 })
    else { throw ValidationError("Counts and sizes are 1 or more.") }
  }

  func run() async throws {
    if let contestant {
      let measured = try await measure(contestant)
      print(String(decoding: try JSONEncoder().encode(measured), as: UTF8.self))
      return
    }
    print(
      "\(tasks) episodes a step, 5-way 5-shot, \(queries) queries a class; \(threads) threads; seconds: medians of steps"
    )
    print("px  kd   contestant     step  ×dense  frozen   merge network backward  update  peak MiB  over dense")
    for size in sizes {
      for distill in distilled ? [false, true] : [false] {
        var found: [Contestant: [Measured]] = [:]
        for _ in 0..<rounds {
          for contestant in contestants {
            found[contestant, default: []].append(try inProcess(contestant, size: size, distill: distill))
          }
        }
        report(found, size: size, distill: distill)
      }
    }
  }

  private var contestants: [Contestant] {
    [.dense] + experts.map(Contestant.sparse) + (closedFormOnly ? [] : experts.map(Contestant.graph))
  }

  @Compute
  private func measure(_ contestant: Contestant) throws -> Measured {
    Threads.count = threads
    let folder = URL(fileURLWithPath: NSString(string: model).expandingTildeInPath)
    let backbone = try pretrainedBackbone(from: folder)
    let run = try EpisodeStep(
      contestant, of: backbone, size: sizes.first ?? 56, tasks: tasks, queries: queries, distills: distill)
    _ = try run.step()
    return Measured(
      steps: try (0..<steps).map { _ in try run.step() }, peak: Memory.now.peakResident,
      weights: backbone.parameterCount)
  }

  private func inProcess(_ contestant: Contestant, size: Int, distill: Bool) throws -> Measured {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Bundle.main.executablePath ?? CommandLine.arguments[0])
    process.arguments =
      [
        "--contestant", contestant.rawValue, "--model", model, "--sizes", "\(size)", "--queries", "\(queries)",
        "--tasks", "\(tasks)", "--steps", "\(steps)", "--threads", "\(threads)",
      ] + (distill ? ["--distill"] : [])
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw PeerError(peer: contestant.rawValue, answer: "it ended; its message is above")
    }
    return try JSONDecoder().decode(Measured.self, from: data)
  }

  private func report(_ found: [Contestant: [Measured]], size: Int, distill: Bool) {
    guard let dense = found[.dense] else { return }
    for contestant in contestants {
      guard let measured = found[contestant] else { continue }
      let steps = measured.flatMap(\.steps)
      // Round by round, so that what slows the machine for a while slows both.
      let ratio = median(zip(measured, dense).map { median($0.steps.map(\.total)) / median($1.steps.map(\.total)) })
      let peak = median(measured.map { Double($0.peak) })
      let plane = Double(4 * (measured.first?.weights ?? 1))
      let more = (peak - median(dense.map { Double($0.peak) })) / plane
      let parts: [KeyPath<StepSeconds, Double>] = [\.frozen, \.merge, \.network, \.backward, \.update]
      print(
        "\(size)".padded(4) + (distill ? "on" : "off").padded(5) + contestant.rawValue.padded(12)
          + String(format: "%7.2f %7.2f", median(steps.map(\.total)), ratio)
          + parts.map { part in String(format: "%8.3f", median(steps.map { $0[keyPath: part] })) }.joined()
          + String(format: "%10.0f  %+.2f N", peak / 0x1p20, more))
    }
  }
}

/// Who takes a step: `dense`, `sparse-8` or `graph-8`.
enum Contestant: RawRepresentable, Hashable, Sendable, ExpressibleByArgument {
  case dense
  case sparse(Int)
  /// The same experts as a graph over all masks.
  case graph(Int)

  init?(rawValue: String) {
    let parts = rawValue.split(separator: "-")
    switch (parts.first, parts.count == 2 ? Int(parts[1]) : nil) {
    case ("dense", nil): self = .dense
    case ("sparse", let experts?): self = .sparse(experts)
    case ("graph", let experts?): self = .graph(experts)
    default: return nil
    }
  }

  var rawValue: String {
    switch self {
    case .dense: "dense"
    case .sparse(let experts): "sparse-\(experts)"
    case .graph(let experts): "graph-\(experts)"
    }
  }
}

struct Measured: Codable, Sendable {
  var steps: [StepSeconds]
  /// The largest resident size, bytes.
  var peak: Int
  /// N
  var weights: Int
}

/// Seconds of one step, by what they went to.
struct StepSeconds: Codable, Sendable {
  /// The frozen backbone's features of the support images, and the hypernetwork.
  var frozen = 0.0
  /// Weights of the tasks.
  var merge = 0.0
  /// Forward and backward through the tasks' networks, the teacher's included.
  var network = 0.0
  /// From the gradients of the tasks' weights to those of what trains.
  var backward = 0.0
  var update = 0.0

  var total: Double { frozen + merge + network + backward + update }
}

extension String {
  fileprivate func padded(_ width: Int) -> String { padding(toLength: width, withPad: " ", startingAt: 0) }
}
