import Adapters
import Formats
import NeuralNetworks

/// A way of adapting, as a row of a comparison: an adapter, where it goes, and its learning rate.
public struct Method: Sendable {
  /// The row's label, DomainBed's `algorithm`; unique in a comparison.
  public var name: String
  public var adapter: any AdapterConfiguration
  /// nil for the method's own choice.
  public var targets: Targets?
  /// nil for the method's own choice.
  public var blocks: Blocks?
  /// nil takes the benchmark's.
  public var learningRate: Double?

  public init(
    _ name: String, _ adapter: any AdapterConfiguration, at targets: Targets? = nil, blocks: Blocks? = nil,
    learningRate: Double? = nil
  ) {
    self.name = name
    self.adapter = adapter
    self.targets = targets
    self.blocks = blocks
    self.learningRate = learningRate
  }

  /// A fresh model of this method; the same seed gives the same one.
  ///
  /// - Throws: `PlacementError`, `AdapterError`, `HeadError`.
  public func model(on backbone: any Backbone, classes: [String], seed: UInt64) throws -> AdaptedModel {
    var model = try backbone.adapted(by: adapter, at: targets, blocks: blocks, seed: seed)
    try model.giveHead(.linear(classes), seed: seed)
    return model
  }

  /// What the method is, for results and for telling runs apart.
  var settings: JSONValue {
    get throws {
      var settings: JSONObject = [
        "adapter": .string(type(of: adapter).method), "adapter_settings": try JSONValue(encoding: adapter),
      ]
      settings["targets"] = targets.map { .string("\($0)") }
      settings["blocks"] = blocks.map { .string("\($0)") }
      return .object(settings)
    }
  }
}
