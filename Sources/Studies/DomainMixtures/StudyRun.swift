import Formats
import Foundation
import Reports

/// One piece of a study's work, done by one process and recorded in a folder of its own.
public struct StudyRun: SharedRun {
  public enum Phase: String, Sendable, Hashable, CaseIterable {
    /// A domain's adapter and classifier.
    case training
    /// How alike the domains' texts are to the frozen network.
    case similarity
    /// A part of the mixtures, on the test parts of their members.
    case mixtures
    /// Mixtures that orders of adding domains come by, where not all are measured anyway.
    case orders
    case pruning
    case robustness
  }

  public let phase: Phase
  /// The kind of adapter; empty where there is none.
  public let kind: String
  public let seed: UInt64
  /// Index of the domain that is trained on.
  public let domain: Int?
  /// Its name.
  public let domainName: String?
  /// Which part of the mixtures, counted from 0.
  public let part: Int?
  /// What else decides its numbers is hashed into this name: with other settings it is another run.
  public let folderName: String
  let arguments: RunArguments

  init(
    _ phase: Phase, kind: String, seed: UInt64, domain: Int? = nil, domainName: String? = nil, part: Int? = nil,
    others: JSONObject
  ) throws {
    self.phase = phase
    self.kind = kind
    self.seed = seed
    self.domain = domain
    self.domainName = domainName
    self.part = part
    var others = others
    others["task"] = .string("study")
    others["phase"] = .string(phase.rawValue)
    others["part"] = part.map(JSONValue.integer)
    arguments = RunArguments(
      dataset: domainName ?? "study", algorithm: kind, testDomains: [0], seed: Int(clamping: seed), others: others)
    let words = [
      phase.rawValue, kind, phase == .similarity ? "" : "\(seed)", domainName ?? "", part.map(String.init) ?? "",
    ]
    let readable = words.filter { !$0.isEmpty }.map { word in
      String(word.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }.prefix(40))
    }
    folderName = (readable + [try RunFolder.name(for: arguments).prefix(12).description]).joined(separator: "-")
  }

  public static func == (left: StudyRun, right: StudyRun) -> Bool { left.folderName == right.folderName }
  public func hash(into hasher: inout Hasher) { hasher.combine(folderName) }
}

extension StudyRun {
  /// Whether another run's result is needed for this one.
  public func needs(_ other: StudyRun) -> Bool {
    guard phase != .training, phase != .similarity else { return false }
    if phase == .orders, other.phase == .similarity { return true }
    return other.phase == .training && other.kind == kind && other.seed == seed
  }
}

extension StudyRun: CustomStringConvertible {
  /// `mixtures LoRA, seed 0, part 2`
  public var description: String {
    let of = phase == .similarity ? "" : " \(kind), seed \(seed)"
    return "\(phase.rawValue)\(of)" + (domainName.map { ", \($0)" } ?? part.map { ", part \($0 + 1)" } ?? "")
  }
}

public typealias StudyEvent = StudyProgress<StudyRun, StudyReport>
