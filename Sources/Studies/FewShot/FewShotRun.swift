import Formats
import Reports

/// One piece of a few-shot study's work, done by one process and recorded in a folder of its own.
public struct FewShotRun: SharedRun {
  public enum Phase: String, Sendable, Hashable {
    /// A network of our own, trained with supervision.
    case pretraining
    /// The network as it is, on every data set.
    case frozen
    /// Meta-tuning, then the tests.
    case tuning
  }

  public let phase: Phase
  /// The name of the network.
  public let backbone: String
  /// The name of the method; empty where there is none.
  public let method: String
  /// The learning rate of the weights' offset; nil where nothing is meta-tuned.
  public let rate: Double?
  public let seed: UInt64
  /// What else decides its numbers is hashed into this name: with other settings it is another run.
  public let folderName: String

  init(
    _ phase: Phase, backbone: String, method: String = "", rate: Double? = nil, seed: UInt64, others: JSONObject
  ) throws {
    self.phase = phase
    self.backbone = backbone
    self.method = method
    self.rate = rate
    self.seed = seed
    var others = others
    others["task"] = "few_shot_study"
    others["phase"] = .string(phase.rawValue)
    others["backbone"] = .string(backbone)
    others["rate"] = rate.map(JSONValue.double)
    let arguments = RunArguments(
      dataset: "few_shot", algorithm: method, testDomains: [], seed: Int(clamping: seed), others: others)
    let words = [phase.rawValue, backbone, method, rate.map { "\($0)" } ?? "", "\(seed)"]
    let readable = words.filter { !$0.isEmpty }.map { word in
      String(word.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }.prefix(40))
    }
    folderName = (readable + [try RunFolder.name(for: arguments).prefix(12).description]).joined(separator: "-")
  }

  public static func == (left: FewShotRun, right: FewShotRun) -> Bool { left.folderName == right.folderName }
  public func hash(into hasher: inout Hasher) { hasher.combine(folderName) }

  public func needs(_ other: FewShotRun) -> Bool {
    phase != .pretraining && other.phase == .pretraining && other.backbone == backbone && other.seed == seed
  }
}

extension FewShotRun: CustomStringConvertible {
  /// `tuning tiny, SMAT, rate 0.01, seed 0`
  public var description: String {
    "\(phase.rawValue) \(backbone)" + (method.isEmpty ? "" : ", \(method)") + (rate.map { ", rate \($0)" } ?? "")
      + ", seed \(seed)"
  }
}

public typealias FewShotStudyEvent = StudyProgress<FewShotRun, FewShotReport>
