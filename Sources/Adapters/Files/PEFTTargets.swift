import Formats

/// Which modules an adapter of PEFT is on: `target_modules`, `exclude_modules`, `layers_to_transform`.
struct PEFTTargets {
  private let includes: (String) throws -> Bool
  private let excludes: (String) throws -> Bool

  /// Nil where the configuration names no targets.
  init?(_ json: JSONObject, folder: String) throws {
    guard let included = try Self.matcher(json, "target_modules", folder: folder) else { return nil }
    excludes = try Self.matcher(json, "exclude_modules", folder: folder) ?? { _ in false }
    guard let layers = try Self.layers(json, folder: folder), json["target_modules"]?.string == nil else {
      includes = included
      return
    }
    let patterns: [String]
    switch json["layers_pattern"] {
    case nil, .null, .array([]), .string(""): patterns = []
    case .string(let pattern): patterns = [pattern]
    default: patterns = try PEFTConfiguration.strings(json, "layers_pattern", folder: folder) ?? []
    }
    // The first number of a path counts: later ones may be those of experts.
    let expressions = try (patterns.isEmpty ? [".*?\\.[^.]*"] : patterns.map { "(?:|.*?\\.)\($0)" }).map {
      try Self.expression("\($0)\\.(\\d+)\\..*", field: "layers_pattern", folder: folder)
    }
    includes = { module in
      guard try included(module) else { return false }
      return expressions.lazy.compactMap { $0.number(in: module) }.first.map(layers.contains) ?? false
    }
  }

  func contains(_ module: String) throws -> Bool { try includes(module) && !excludes(module) }

  /// A list holds whole paths or ends of paths after a dot, a text is a regular expression for the whole path.
  static func matcher(_ json: JSONObject, _ field: String, folder: String) throws -> ((String) throws -> Bool)? {
    if let text = json[field]?.string {
      if field == "target_modules", text.lowercased() == "all-linear" { return { _ in true } }
      let expression = try expression(text, field: field, folder: folder)
      return { expression.wholeMatches($0) }
    }
    guard let names = try PEFTConfiguration.strings(json, field, folder: folder), !names.isEmpty else { return nil }
    return { module in names.contains { module == $0 || module.hasSuffix(".\($0)") } }
  }

  private static func layers(_ json: JSONObject, folder: String) throws -> Set<Int>? {
    switch json["layers_to_transform"] {
    case nil, .null, .array([]): return nil
    case .integer(let layer): return [layer]
    case let value?:
      guard let elements = value.array, case let layers = elements.compactMap(\.integer), layers.count == elements.count
      else {
        throw AdapterFolderError.setting(
          folder, field: "layers_to_transform", value: try value.text(), reason: "a list of block numbers is wanted.")
      }
      return Set(layers)
    }
  }

  /// A pattern of the file as a regular expression.
  struct Expression: @unchecked Sendable {
    // `Regex` is not marked Sendable; this one never changes.
    fileprivate let regex: Regex<AnyRegexOutput>

    func wholeMatches(_ text: String) -> Bool { (try? regex.wholeMatch(in: text)) != nil }

    /// What the first group matched, as a number.
    func number(in text: String) -> Int? {
      guard let match = try? regex.wholeMatch(in: text), match.output.count > 1 else { return nil }
      return match.output[match.output.count - 1].substring.flatMap { Int($0) }
    }
  }

  static func expression(_ pattern: String, field: String, folder: String) throws -> Expression {
    guard pattern.utf8.count <= 4_096, let regex = try? Regex(pattern) else {
      throw AdapterFolderError.setting(
        folder, field: field, value: "\"\(pattern)\"", reason: "that is no regular expression.")
    }
    guard !mayTakeForever(pattern) else {
      throw AdapterFolderError.setting(
        folder, field: field, value: "\"\(pattern)\"",
        reason: "it repeats a group that itself repeats or branches, or more than six parts: matching it may never end."
      )
    }
    return Expression(regex: regex)
  }

  /// Whether a matcher that goes back over its choices may need more steps than anybody can wait for: a repeated group that
  /// repeats or branches inside, as in `(a+)+`, or many repetitions in a row.
  static func mayTakeForever(_ pattern: String) -> Bool {
    var repetitions = 0
    // For each open group, whether it repeats or branches inside; a group that is closed hands that on.
    var open: [Bool] = [false]
    var closed: Bool?
    var isEscaped = false
    var isClass = false
    for (character, next) in zip(pattern, Array(pattern.dropFirst()) + [" "]) {
      let group = closed
      closed = nil
      if isEscaped {
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if isClass {
        isClass = character != "]"
      } else if character == "[" {
        isClass = true
      } else if character == "(" {
        open.append(false)
      } else if character == ")" {
        closed = open.count > 1 ? open.removeLast() : false
        if closed == true { open[open.count - 1] = true }
      } else if character == "|" {
        open[open.count - 1] = true
      } else if character == "*" || character == "+" || (character == "{" && next.isNumber) {
        if group == true { return true }
        open[open.count - 1] = true
        repetitions += 1
      }
    }
    return repetitions > 6
  }
}
