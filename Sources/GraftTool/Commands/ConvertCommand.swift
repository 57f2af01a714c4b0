import Adapters
import ArgumentParser
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Training

/// `graft convert`
struct ConvertCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Write an adapter for another program: PEFT, mlx-lm, AdapterHub, or this one.",
    discussion: """
      Which program wrote the adapter is seen from its files. Every tensor of them is used, and what was written is read \
      back and compared with the original on a few inputs; what the other program has no place for is refused by name, \
      and nothing is left behind.

        graft convert runs/lora --model vit-s14 --to peft --output lora-peft
        graft convert lora-peft --model vit-s14 --to mlx --without-head --output lora-mlx
        graft convert downloaded --model vit-s14 --to graft --labels cat,dog --output own
      """)

  @Argument(help: "The folder of an adapter, or of a run of graft train.", completion: .directory)
  var adapter: String

  @Option(
    name: .customLong("to"),
    help: "The program that is to read it: \(AdapterFormat.allCases.map(\.rawValue).joined(separator: ", ")).")
  var format: AdapterFormat

  @Option(help: ArgumentHelp("A new folder for the adapter.", valueName: "folder"), completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("The names of the classes, where the files have none.", valueName: "names"))
  var labels: String?

  @Flag(help: "Leave the classifier out.")
  var withoutHead = false

  @OptionGroup(title: "Model") var data: DataOptions
  @OptionGroup(title: "Output") var console: ConsoleOptions

  func run() async throws {
    let console = Console(console)
    let output = AssetFolder.path(output)
    try OutputFolder.checkIsFree(output)
    let trained = try TrainedAdapter(at: adapter, data)
    let backbone = try trained.backbone().settings.load()
    let names = labels.map { list($0).array?.compactMap(\.string) ?? [] }
    let loaded = try AdapterFolder.read(from: trained.folder, onto: backbone, labels: names)
    for note in loaded.notes { console.note(note) }
    if names != nil, loaded.model.head == nil { console.warn("--labels: the adapter has no classifier to name") }
    var model = loaded.model
    if withoutHead { model.head = nil }
    let deviation = try await Self.write(model, as: format, to: output)
    if let head = model.head, format == .peft {
      console.note("PEFT's files name no classes; give them back with --labels \(head.classes.joined(separator: ","))")
    }
    let method = type(of: model.adapter.configuration).method.lowercased()
    console.result(
      """
      read       \(method) from \(trained.folder.path), written by \(loaded.writer ?? "\(loaded.format)")
      wrote      \(output.path) for \(format)
      deviation  \(String(format: "%.1e", deviation)) after reading it back

      """)
    try console.json(
      JSONValue.object([
        "adapter": .string(trained.folder.path), "format": .string(loaded.format.rawValue), "method": .string(method),
        "writer": loaded.writer.map(JSONValue.string) ?? .null, "output": .string(output.path),
        "to": .string(format.rawValue), "deviation": .double(deviation),
        "notes": .array(loaded.notes.map(JSONValue.string)),
      ]).text(.readable))
  }

  /// The largest difference, as a fraction of the largest output or of 1, of a correct copy: the order of additions may
  /// change where one adapter of a fused map becomes three.
  private static let tolerance = 1e-5

  @Compute
  private static func write(_ model: AdaptedModel, as format: AdapterFormat, to output: URL) throws -> Double {
    guard let backbone = model.backbone as? any PretrainedNetwork else { throw BackboneError.site("the network") }
    let probe = try Probe.noise(for: backbone, count: 2).inputs.to(backbone.device)
    var deviation = 0.0
    try AtomicFolder.write(to: output) { folder in
      try model.save(to: folder, as: format)
      let again = try AdapterFolder.read(from: folder, onto: backbone, labels: model.head?.classes).model
      deviation = try withoutGradients {
        func outputs(_ model: AdaptedModel) throws -> Tensor {
          try model.head == nil ? model.features(probe) : model.logits(probe)
        }
        let expected = try outputs(model)
        return try outputs(again).distance(to: expected) / max(1, expected.abs().max().item())
      }
      guard deviation <= tolerance else { throw ConversionFailed(deviation: deviation, format: format) }
    }
    return deviation
  }
}

/// What was written is not what was read.
struct ConversionFailed: Error, CustomStringConvertible {
  let deviation: Double
  let format: AdapterFormat

  var description: String {
    "Read back from \(format)'s format, the adapter differs by \(deviation) of its largest output: nothing was written."
  }
}

extension AdapterFormat: ExpressibleByArgument {}
