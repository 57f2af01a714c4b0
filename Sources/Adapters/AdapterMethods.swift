import Formats
import Foundation

/// Every method, in the order of the documentation. Decoding by name, `--help`, the contract tests and the table of methods
/// all read this list.
public let adapterMethods: [any AdapterConfiguration.Type] = [
  LinearProbe.self,
  BiasTuning.self,
  LayerNormTuning.self,
  AttentionTuning.self,
  LastBlocks.self,
  FullFineTuning.self,
  LoRA.self,
  DoRA.self,
  LoHa.self,
  LoKr.self,
  Houlsby.self,
  Pfeiffer.self,
  ParallelAdapter.self,
  AdaptFormer.self,
  AdapterPlus.self,
  PromptTuning.self,
  SSF.self,
  IA3.self,
  RepAdapter.self,
  DeltaTuning.self,
  Consolidator.self,
  KroneckerAdapter.self,
  MixtureOfAdapters.self,
  AdapterFusion.self,
  OutputAverage.self,
]

/// The configuration of a method by its name, with some settings changed from their defaults.
///
/// - Parameter name: as in files, in any case: `lora`, `MIXTURE_OF_ADAPTERS`.
/// - Throws: `MethodError` for a name or a setting that is not there, with the nearest one that is.
public func adapterConfiguration(named name: String, settings: JSONObject = JSONObject()) throws
  -> any AdapterConfiguration
{
  let wanted = name.uppercased().replacing("-", with: "_")
  guard let method = adapterMethods.first(where: { $0.method == wanted }) else {
    throw MethodError.unknownMethod(name, known: adapterMethods.map { $0.method.lowercased() })
  }
  return try method.decoded(from: settings)
}

extension AdapterConfiguration {
  /// The defaults with `settings` over them; keys are the properties' names.
  static func decoded(from settings: JSONObject) throws -> Self {
    var merged = try Self().settings()
    let known = Set(merged.keys).union(optionalSettings)
    for (key, value) in settings.members {
      guard known.contains(key) else {
        throw MethodError.unknownSetting(key, method: method.lowercased(), known: known.sorted())
      }
      merged[key] = value
    }
    do {
      return try JSONDecoder().decode(Self.self, from: JSONValue.object(merged).data())
    } catch let error as DecodingError {
      throw MethodError.setting(method: method.lowercased(), problem: Self.explain(error))
    }
  }

  /// Every setting under its property's name.
  public func settings() throws -> JSONObject {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return try JSONValue(parsing: encoder.encode(self)).object ?? JSONObject()
  }

  private static func explain(_ error: DecodingError) -> String {
    let context: DecodingError.Context? =
      switch error {
      case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
        .dataCorrupted(let context):
        context
      @unknown default: nil
      }
    let path = context?.codingPath.map(\.stringValue).joined(separator: ".") ?? ""
    let missing = if case .keyNotFound(let key, _) = error { "'\(key.stringValue)' is missing" } else { "wrong type" }
    return path.isEmpty ? "\(missing)" : "'\(path)': \(missing)"
  }
}

public enum MethodError: Error, Equatable, CustomStringConvertible {
  case unknownMethod(String, known: [String])
  case unknownSetting(String, method: String, known: [String])
  case setting(method: String, problem: String)

  public var description: String {
    switch self {
    case .unknownMethod(let name, let known):
      "There is no method '\(name)'.\(Suggestion.didYouMean(name.lowercased(), among: known)) "
        + "The methods are \(known.joined(separator: ", "))."
    case .unknownSetting(let name, let method, let known):
      "\(method) has no setting '\(name)'.\(Suggestion.didYouMean(name, among: known)) "
        + "Its settings are \(known.isEmpty ? "none" : known.joined(separator: ", "))."
    case .setting(let method, let problem): "A setting of \(method) does not fit: \(problem)."
    }
  }
}
