import Datasets
import Formats
import Foundation
import NeuralNetworks

/// How files of texts are read, and how long a text may be.
struct TextSettings: Sendable, Hashable {
  var options = TextFolder.Options()
  /// In tokens, the special ones among them; nil for as many as the network takes.
  var maximumLength: Int?

  static let keys = ["text_column", "second_text_column", "label_column", "header", "maximum_length"]

  init(_ section: Section) throws {
    func column(_ key: String) throws -> TextColumn? {
      guard let value = section.values[key], !value.isNull else { return nil }
      if let number = value.integer {
        guard number >= 1 else {
          throw ConfigurationError.value(place: section.place(key), problem: "columns are counted from 1.")
        }
        return .number(number)
      }
      return try section.string(key).map(TextColumn.named)
    }
    options.text = try column("text_column") ?? options.text
    options.secondText = try column("second_text_column")
    options.label = try column("label_column") ?? options.label
    options.hasHeader = try section.bool("header") ?? true
    options.allowsMissingClasses = try section.bool("allow_missing_classes") ?? false
    maximumLength = try section.integer("maximum_length")
    if let maximumLength, !(3...1_000_000).contains(maximumLength) {
      throw ConfigurationError.value(
        place: section.place("maximum_length"), problem: "the length must be 3 to 1000000 tokens.")
    }
  }

  /// Tokens that a text is cut to, for a network.
  func length(for network: TextTransformer) -> Int { min(maximumLength ?? .max, network.maximumLength) }

  /// As a file would say it.
  var resolved: JSONObject {
    var object = JSONObject()
    func add(_ key: String, _ column: TextColumn?) {
      switch column {
      case .named(let name)?: object[key] = .string(name)
      case .number(let number)?: object[key] = .integer(number)
      case nil: break
      }
    }
    add("text_column", options.text)
    add("second_text_column", options.secondText)
    add("label_column", options.label)
    object["header"] = .bool(options.hasHeader)
    object["maximum_length"] = maximumLength.map(JSONValue.integer)
    return object
  }
}
