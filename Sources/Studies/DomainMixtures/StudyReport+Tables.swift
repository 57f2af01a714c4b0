import Formats
import Foundation
import Mixing
import Reports

extension StudyReport {
  /// The whole report as Markdown, a section for each question.
  public var markdown: String {
    var sections = [
      "# Mixtures of domain adapters",
      """
      \(domains.count) domains: \(zip(domains, testCounts).map { "\($0) (\($1))" }.joined(separator: ", ")), with \
      the number of test examples. Accuracies in per cent; ± is the standard error over seeds (of the sample of seeds, \
      s/√n), of means over everything else.\(isComplete ? "" : " **Not complete**: some runs are missing.")
      """,
    ]
    for (title, text) in [
      ("Each domain's own adapter", singles), ("Accuracy over the number of adapters mixed", accuracyOverSize),
      ("Accuracy and the fraction of sign difference", correlationTable), ("Sign difference within sizes", withinTable),
      ("Orders of adding domains", orderTable), ("Pruning", pruningTable), ("Attacks", attackTable),
    ] where !text.isEmpty { sections += ["## \(title)", text] }
    return sections.joined(separator: "\n\n") + "\n"
  }

  private static func percent(_ estimate: Estimate?, digits: Int = 1) -> String {
    guard let estimate else { return "-" }
    let mean = String(format: "%.\(digits)f", 100 * estimate.mean)
    return estimate.standardError.map { "\(mean) ± \(String(format: "%.\(digits)f", 100 * $0))" } ?? mean
  }

  private static func percent(_ value: Double) -> String { String(format: "%.1f", 100 * value) }

  private static func number(_ estimate: Estimate?, digits: Int = 2) -> String {
    guard let estimate else { return "-" }
    let mean = String(format: "%.\(digits)f", estimate.mean)
    return estimate.standardError.map { "\(mean) ± \(String(format: "%.\(digits)f", $0))" } ?? mean
  }

  private static func table(_ header: [String], _ rows: [[String]]) -> String {
    rows.isEmpty ? "" : TableText(title: "", header: header, rows: rows).markdown
  }

  private var singles: String {
    Self.table(
      ["Kind", "numbers", "mixed", "seeds"] + domains,
      kinds.filter { !$0.single.isEmpty }.map { kind in
        [kind.name, "\(kind.parameters)", kind.space.rawValue, "\(kind.seeds.count)"]
          + kind.single.map { Self.percent($0) }
      })
  }

  private var accuracyOverSize: String {
    Self.table(
      ["Kind", "k", "measured", "accuracy", "min", "max", "sd", "relative to k = 1", "min", "max", "sd"],
      kinds.flatMap { kind in
        kind.sizes.map { size in
          [
            kind.name, "\(size.count)", "\(size.measured)", Self.percent(size.accuracy), Self.percent(size.minimum),
            Self.percent(size.maximum), Self.percent(size.deviation), Self.percent(size.relative),
            Self.percent(size.relativeMinimum), Self.percent(size.relativeMaximum),
            Self.percent(size.relativeDeviation),
          ]
        }
      })
  }

  private var correlationTable: String {
    Self.table(
      [
        "Kind", "signs", "Pearson, all sets", "Spearman, all sets", "Spearman within k", "Spearman per target",
        "per target within k",
      ],
      kinds.flatMap { kind in
        kind.correlations.map { correlation in
          [
            kind.name, correlation.signs.rawValue, Self.number(correlation.pearson), Self.number(correlation.spearman),
            Self.number(correlation.withinMean), Self.number(correlation.perTarget),
            Self.number(correlation.perTargetWithin),
          ]
        }
      })
  }

  private var withinTable: String {
    let sizes = Set(kinds.flatMap { $0.correlations.flatMap { $0.within.keys } }).sorted()
    return Self.table(
      ["Kind", "signs"] + sizes.map { "k = \($0)" },
      kinds.flatMap { kind in
        kind.correlations.filter { $0.signs == .pairwise || $0.signs == .pairwiseDelta }.map { correlation in
          [kind.name, correlation.signs.rawValue] + sizes.map { Self.number(correlation.within[$0]) }
        }
      })
  }

  private var orderTable: String {
    Self.table(
      ["Kind", "order"] + domains.indices.map { "k = \($0 + 1)" } + ["mean of k ≥ 2"],
      kinds.flatMap { kind in
        kind.orders.map { curve in
          [kind.name, curve.rule] + curve.accuracies.map { Self.percent($0) } + [Self.percent(curve.mean)]
        }
      })
  }

  private var pruningTable: String {
    Self.table(
      ["Kind", "criterion", "order", "k", "density", "kept", "accuracy", "FSD, zeros agree", "FSD, zeros left out"],
      kinds.flatMap { kind in
        kind.pruning.map { point in
          [
            kind.name, point.criterion, point.order, "\(point.size)", point.density.map { "\($0)" } ?? "-",
            Self.number(point.kept, digits: 3), Self.percent(point.accuracy),
            Self.number(point.ignoringZeros, digits: 3),
            Self.number(point.excludingZeros, digits: 3),
          ]
        }
      })
  }

  private var attackTable: String {
    Self.table(
      ["Kind", "attack", "k", "accuracy before", "after", "queries a text", "words changed"],
      kinds.flatMap { kind in
        kind.attacks.map { result in
          [
            kind.name, result.attack, "\(result.size)", Self.percent(result.before), Self.percent(result.after),
            String(format: "%.1f", result.queries), result.changed.map(Self.percent) ?? "-",
          ]
        }
      })
  }

  // MARK: JSON

  public var json: JSONValue {
    func value(_ estimate: Estimate?) -> JSONValue {
      guard let estimate else { return .null }
      return ["mean": .double(estimate.mean), "standard_error": estimate.standardError.map(JSONValue.double) ?? .null]
    }
    func matrix(_ rows: [[Double]]) -> JSONValue { .array(rows.map { .array($0.map(JSONValue.double)) }) }
    let kinds = kinds.map { kind -> JSONValue in
      [
        "name": .string(kind.name), "parameters": .integer(kind.parameters), "space": .string(kind.space.rawValue),
        "seeds": .array(kind.seeds.map { .integer(Int(clamping: $0)) }), "single": .array(kind.single.map(value)),
        "sizes": .array(
          kind.sizes.map { size in
            [
              "k": .integer(size.count), "measured": .integer(size.measured), "accuracy": value(size.accuracy),
              "minimum": .double(size.minimum), "maximum": .double(size.maximum),
              "standard_deviation": .double(size.deviation), "relative": value(size.relative),
              "relative_minimum": .double(size.relativeMinimum), "relative_maximum": .double(size.relativeMaximum),
              "relative_standard_deviation": .double(size.relativeDeviation),
            ]
          }),
        "correlations": .array(
          kind.correlations.map { correlation in
            var within = JSONObject()
            for (size, estimate) in correlation.within.sorted(by: { $0.key < $1.key }) {
              within["\(size)"] = value(estimate)
            }
            return [
              "signs": .string(correlation.signs.rawValue), "pearson": value(correlation.pearson),
              "spearman": value(correlation.spearman), "spearman_within_k": .object(within),
              "spearman_within_k_mean": value(correlation.withinMean),
              "spearman_per_target": value(correlation.perTarget),
              "spearman_per_target_within_k": value(correlation.perTargetWithin),
            ]
          }),
        "orders": .array(
          kind.orders.map { curve in
            [
              "order": .string(curve.rule), "accuracies": .array(curve.accuracies.map(value)),
              "mean": value(curve.mean),
            ]
          }),
        "pruning": .array(
          kind.pruning.map { point in
            [
              "criterion": .string(point.criterion), "order": .string(point.order), "k": .integer(point.size),
              "density": point.density.map(JSONValue.double) ?? .null, "kept": value(point.kept),
              "accuracy": value(point.accuracy), "fsd_zeros_ignored": value(point.ignoringZeros),
              "fsd_zeros_excluded": value(point.excludingZeros),
            ]
          }),
        "attacks": .array(
          kind.attacks.map { result in
            [
              "attack": .string(result.attack), "k": .integer(result.size), "before": value(result.before),
              "after": value(result.after), "queries": .double(result.queries),
              "changed_words": result.changed.map(JSONValue.double) ?? .null,
            ]
          }),
        "fsd": matrix(kind.pairs), "fsd_delta": matrix(kind.pairsDelta),
      ]
    }
    return [
      "domains": .array(domains.map(JSONValue.string)), "test_examples": .array(testCounts.map(JSONValue.integer)),
      "is_complete": .bool(isComplete), "similarities": matrix(similarities), "kinds": .array(kinds),
    ]
  }
}
