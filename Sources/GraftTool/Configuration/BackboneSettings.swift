import Formats
import Foundation
import NeuralNetworks
import Tensors

/// Which pretrained network, where it runs, and how its tokens become features.
struct BackboneSettings: Sendable {
  var folder: URL
  var device: Device
  /// As it was written; nil for what the network was trained with.
  var pooling: String?
  private var poolingPlace: String

  static let keys = ["model", "device", "pooling"]
  static let imagePoolings: [String: VisionTransformerConfiguration.Pooling] = [
    "class-token": .classToken, "mean-patch": .meanPatch, "class-and-mean-patch": .classAndMeanPatch,
  ]
  static let textPoolings: [String: TextTransformerConfiguration.Pooling] = [
    "class-token": .classToken, "mean": .mean, "pooler": .pooler,
  ]

  init(_ section: Section) throws {
    guard let model = try section.string("model") else { throw ConfigurationError.missing("model", flag: "--model") }
    folder = try AssetFolder.find(model, .models, place: section.place("model"))
    do {
      device = try Device(section.string("device") ?? "cpu")
    } catch let error as DeviceError {
      throw ConfigurationError.value(place: section.place("device"), problem: "\(error)")
    }
    poolingPlace = section.place("pooling")
    if let text = try section.string("pooling"), text != "default" {
      pooling = text.replacing("_", with: "-")
      _ = try chosen(from: Self.imagePoolings.keys.sorted() + Self.textPoolings.keys.sorted())
    }
  }

  func load() throws -> any PretrainedNetwork {
    switch try PretrainedKind(of: folder) {
    case .image:
      let pooling = try chosen(from: Self.imagePoolings.keys.sorted()).flatMap { Self.imagePoolings[$0] }
      return try VisionTransformer(from: folder, device: device, pooling: pooling)
    case .text:
      let pooling = try chosen(from: Self.textPoolings.keys.sorted()).flatMap { Self.textPoolings[$0] }
      return try TextTransformer(from: folder, device: device, pooling: pooling)
    }
  }

  /// - Parameter command: what needs images, for the message.
  func loadForImages(_ command: String) throws -> VisionTransformer {
    guard let network = try load() as? VisionTransformer else {
      throw WrongKind(command: command, folder: folder.path, found: "a text encoder", wanted: "a vision transformer")
    }
    return network
  }

  func loadForTexts(_ command: String) throws -> TextTransformer {
    guard let network = try load() as? TextTransformer else {
      throw WrongKind(command: command, folder: folder.path, found: "a vision transformer", wanted: "a text encoder")
    }
    return network
  }

  private func chosen(from names: [String]) throws -> String? {
    guard let pooling else { return nil }
    guard names.contains(pooling) else {
      throw ConfigurationError.value(
        place: poolingPlace,
        problem: "pooling cannot be '\(pooling)' here. Write \(Set(names).sorted().joined(separator: ", ")) or default."
      )
    }
    return pooling
  }

  var poolingName: String { pooling ?? "default" }

  /// As a file would say it.
  var resolved: JSONObject {
    ["model": .string(folder.path), "device": .string("\(device)"), "pooling": .string(poolingName)]
  }
}

/// A network of the other kind of input.
struct WrongKind: Error, CustomStringConvertible {
  let command: String
  let folder: String
  let found: String
  let wanted: String

  var description: String {
    "\(command) takes \(wanted), and the model in '\(folder)' is \(found). Give another --model."
  }
}
