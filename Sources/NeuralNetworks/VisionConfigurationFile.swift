import Formats
import Foundation

/// What the configuration files beside a checkpoint say of what its tensors cannot: Hugging Face's `config.json`, timm's of
/// the same name, and OpenCLIP's `open_clip_config.json`; pixel statistics also from `preprocessor_config.json`.
struct VisionConfigurationFile {
  var heads: Int?
  var layerNormEpsilon: Double?
  var activation: VisionTransformerConfiguration.Activation?
  var normalization: ImageNormalization?
  /// Facts that the tensors say as well, to be compared with them.
  var checks: [(what: String, value: Int)] = []
  var averagesPatches = false

  init() {}

  init(in folder: URL) throws {
    let config = folder.appendingPathComponent("config.json")
    let openCLIP = folder.appendingPathComponent("open_clip_config.json")
    if FileManager.default.fileExists(atPath: openCLIP.path) {
      try readOpenCLIP(JSONValue(configuration: openCLIP), file: openCLIP.path)
    } else if FileManager.default.fileExists(atPath: config.path) {
      let json = try JSONValue(configuration: config)
      if json["architecture"] != nil {
        try readTimm(json, file: config.path)
      } else {
        try readHuggingFace(json["vision_config"] ?? json, file: config.path)
      }
    }
    let preprocessor = folder.appendingPathComponent("preprocessor_config.json")
    if FileManager.default.fileExists(atPath: preprocessor.path) {
      let json = try JSONValue(configuration: preprocessor)
      normalization = Self.normalization(json["image_mean"], json["image_std"]) ?? normalization
    }
  }

  private mutating func readHuggingFace(_ json: JSONValue, file: String) throws {
    heads = json["num_attention_heads"]?.integer
    layerNormEpsilon = json["layer_norm_eps"]?.double
    if json["use_swiglu_ffn"]?.bool == true {
      throw LoadError.configuration(file: file, problem: "SwiGLU MLPs (DINOv2 giant) are not supported.")
    }
    if let name = json["hidden_act"]?.string { activation = try .init(huggingFace: name, file: file) }
    for (key, what) in [("hidden_size", "width"), ("num_hidden_layers", "depth"), ("patch_size", "patch size")] {
      if let value = json[key]?.integer { checks.append((what, value)) }
    }
  }

  private mutating func readTimm(_ json: JSONValue, file: String) throws {
    let architecture = json["architecture"]?.string ?? ""
    let arguments = json["model_args"]
    heads = arguments?["num_heads"]?.integer
    // timm's CLIP models differ from its others in these two, and only the architecture's name says so.
    layerNormEpsilon = architecture.contains("clip") ? 1e-5 : 1e-6
    activation = architecture.contains("quickgelu") ? .quickGELU : .gelu
    if let name = arguments?["act_layer"]?.string { activation = try .init(huggingFace: name, file: file) }
    averagesPatches = (arguments?["global_pool"] ?? json["global_pool"])?.string == "avg"
    let cfg = json["pretrained_cfg"]
    normalization = Self.normalization(cfg?["mean"], cfg?["std"])
    for (key, what) in [("embed_dim", "width"), ("depth", "depth"), ("patch_size", "patch size")] {
      if let value = arguments?[key]?.integer { checks.append((what, value)) }
    }
  }

  private mutating func readOpenCLIP(_ json: JSONValue, file: String) throws {
    guard let model = json["model_cfg"], let vision = model["vision_cfg"] else {
      throw LoadError.configuration(file: file, problem: "it has no model_cfg.vision_cfg.")
    }
    activation = model["quick_gelu"]?.bool == true ? .quickGELU : .gelu
    layerNormEpsilon = 1e-5
    if let width = vision["width"]?.integer {
      checks.append(("width", width))
      let headWidth = vision["head_width"]?.integer ?? 64
      guard headWidth > 0, width % headWidth == 0 else {
        throw LoadError.configuration(file: file, problem: "head_width \(headWidth) does not divide width \(width).")
      }
      heads = width / headWidth
    }
    if let depth = vision["layers"]?.integer { checks.append(("depth", depth)) }
    if let size = vision["patch_size"]?.integer { checks.append(("patch size", size)) }
    normalization = Self.normalization(json["preprocess_cfg"]?["mean"], json["preprocess_cfg"]?["std"])
  }

  private static func normalization(_ mean: JSONValue?, _ deviation: JSONValue?) -> ImageNormalization? {
    func floats(_ value: JSONValue?) -> [Float]? {
      let numbers = value?.array?.compactMap(\.double).map(Float.init)
      return numbers?.count == 3 ? numbers : nil
    }
    guard let mean = floats(mean), let deviation = floats(deviation), deviation.allSatisfy({ $0 > 0 }) else {
      return nil
    }
    return ImageNormalization(mean: mean, deviation: deviation)
  }
}

extension JSONValue {
  /// The JSON object that a file beside a checkpoint holds; errors name the file.
  init(configuration url: URL) throws {
    do { self = try JSONValue(contentsOf: url) } catch let error as JSONFileError {
      throw LoadError.configuration(file: url.path, problem: "it is not JSON. \(error.error)")
    }
    guard object != nil else {
      throw LoadError.configuration(file: url.path, problem: "it holds \(kind), not an object.")
    }
  }
}
