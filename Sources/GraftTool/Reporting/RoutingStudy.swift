import Adapters
import Datasets
import Formats
import Foundation
import NeuralNetworks
import Reports
import Training

/// What the routers of a mixture do on some images: figures by layer and domain, and pictures.
struct RoutingStudy: Sendable {
  let report: RoutingReport
  /// One image of each domain, its patches coloured by expert.
  let grid: PatchGrid
  /// The share of tokens of each expert, by layer and domain.
  let load: HeatMap

  /// Whether there is anything to see: a router to ask.
  static func isPossible(_ model: AdaptedModel) -> Bool {
    model.adapter.configuration is MixtureOfAdapters && model.backbone is VisionTransformer
  }

  /// - Parameters:
  ///   - perDomain: how many images of each domain are run, evenly spread over it.
  ///   - pictured: how many images of each domain are drawn.
  @Compute
  init(
    of model: AdaptedModel, on examples: ImageExamples, title: String, perDomain: Int, pictured: Int, batchSize: Int
  ) async throws {
    let chosen = examples.ranges.map { Self.spread(perDomain, over: $0.filter(examples.isUsable)) }
    // From the middle of each domain: the first image of the first class is rarely typical.
    let shown = chosen.map { indices in Self.spread(pictured, over: Array(indices.dropFirst(indices.count / 2))) }
    let collector = RoutingCollector(examples, picturing: Set(shown.joined()))
    try await collector.collect(model, at: Array(chosen.joined()), batchSize: batchSize)
    report = RoutingReport(collector.statistics)
    grid = try Self.grid(
      title, model, examples, shown.flatMap(\.self), layers: collector.layers, choices: collector.choices)
    load = Self.load(title, report)
  }

  private static func spread(_ count: Int, over indices: [Int]) -> [Int] {
    guard indices.count > count else { return indices }
    return (0..<count).map { indices[$0 * indices.count / count] }
  }

  private static func grid(
    _ title: String, _ model: AdaptedModel, _ examples: ImageExamples, _ shown: [Int], layers: [String],
    choices: [Int: [String: [Int]]]
  ) throws -> PatchGrid {
    let size = examples.evaluation.size
    guard let backbone = model.backbone as? VisionTransformer else {
      return try PatchGrid(title: title, experts: [], images: [])
    }
    let side = size / backbone.configuration.patchSize
    let images = try shown.map { index in
      let picture = try examples.source.image(at: index).resized(width: size, height: size)
      let panels = try layers.compactMap { layer -> PatchGrid.Panel? in
        guard let tokens = choices[index]?[layer], tokens.count >= backbone.prefixTokens else { return nil }
        return try PatchGrid.Panel(
          caption: short(layer), rows: side, columns: side, patches: Array(tokens.dropFirst(backbone.prefixTokens)),
          classToken: tokens.first)
      }
      let sample = examples.folder.samples[index]
      return PatchGrid.Image(
        caption: "\(examples.domains[sample.domain]): \(examples.classes[sample.label])",
        picture: try PixelImage(width: picture.width, height: picture.height, pixels: picture.pixels), panels: panels)
    }
    return try PatchGrid(title: title, experts: experts(of: model), images: images)
  }

  private static func experts(of model: AdaptedModel) -> [String] {
    guard let mixture = model.adapter.configuration as? MixtureOfAdapters else { return [] }
    return mixture.ranks.enumerated().map { "expert \($0) (rank \($1))" }
  }

  private static func load(_ title: String, _ report: RoutingReport) -> HeatMap {
    let experts = report.layers.map(\.experts).max() ?? 0
    var map = HeatMap(
      title: "\(title): share of tokens", rows: [], columns: (0..<experts).map { "expert \($0)" }, values: [],
      range: 0...1)
    for layer in report.layers {
      for domain in layer.domains {
        map.rows.append("\(short(layer.layer)), \(domain.domain)")
        map.values.append(domain.routing.load.map { $0 })
      }
    }
    return map
  }

  /// `blocks.4.attn.qkv` as `block 4 qkv`.
  private static func short(_ layer: String) -> String {
    let parts = layer.split(separator: ".")
    guard parts.count == 4, parts[0] == "blocks" else { return layer }
    return "block \(parts[1]) \(parts[3])"
  }

  /// For people: a line for each layer.
  var text: String {
    var table = TextTable(header: ["Layer", "load", "entropy (bits)", "information on the domain (bits)"])
    for layer in report.layers {
      table.rows.append([
        layer.layer, layer.overall.load.map { Quantity.fixed($0, 2) }.joined(separator: " "),
        Quantity.fixed(layer.overall.entropy, 3), Quantity.fixed(layer.balancedMutualInformation, 4),
      ])
    }
    return table.text
  }
}
