import Foundation
import NeuralNetworks
import Tensors

/// Which pretrained network, where it runs, and how its tokens become features.
struct BackboneSettings: Sendable {
  var folder: URL
  var device: Device
  /// nil for what the network was trained with.
  var pooling: VisionTransformerConfiguration.Pooling?

  static let keys = ["model", "device", "pooling"]
  static let poolings: [String: VisionTransformerConfiguration.Pooling] = [
    "class-token": .classToken, "mean-patch": .meanPatch, "class-and-mean-patch": .classAndMeanPatch,
  ]

  init(_ section: Section) throws {
    guard let model = try section.string("model") else { throw ConfigurationError.missing("model", flag: "--model") }
    folder = try AssetFolder.find(model, .models, place: section.place("model"))
    do {
      device = try Device(section.string("device") ?? "cpu")
    } catch let error as DeviceError {
      throw ConfigurationError.value(place: section.place("device"), problem: "\(error)")
    }
    if let text = try section.string("pooling"), text != "default" {
      guard let found = Self.poolings[text.replacing("_", with: "-")] else {
        throw ConfigurationError.value(
          place: section.place("pooling"),
          problem:
            "pooling cannot be '\(text)'. Write \(Self.poolings.keys.sorted().joined(separator: ", ")) or default.")
      }
      pooling = found
    }
  }

  func load() throws -> VisionTransformer {
    try VisionTransformer(from: folder, device: device, pooling: pooling)
  }

  var poolingName: String { Self.poolings.first { $0.value == pooling }?.key ?? "default" }
}
