import Formats
import Testing

@testable import Reports

@Suite struct ResultRecordTests {
  @Test func `a record is written as DomainBed writes it, byte for byte`() throws {
    #expect(try sampleRecord.json == sampleLine)
  }

  @Test func `a line is read into the record that wrote it`() throws {
    let record = try ResultRecord(json: sampleLine)
    #expect(record == sampleRecord)
    #expect(record.run.others == ["holdout_fraction": 0.2, "lr": 5e-5])
    #expect(record.extras == ["skipped_images": 3])
  }

  @Test func `DomainBed's own line, without sizes and with an unlabelled split, is read`() throws {
    let record = try ResultRecord(
      json: """
        {"args": {"algorithm": "ERM", "dataset": "PACS", "hparams_seed": 2, "seed": 7, "test_envs": [1, 0], \
        "trial_seed": 1, "uda_holdout_fraction": 0}, "env0_in_acc": 1.0, "env0_out_acc": 0.5, "env0_uda_acc": 0.25, \
        "env1_in_acc": 0.75, "env1_out_acc": NaN, "epoch": 0.0, "hparams": {}, "loss": NaN, "mem_gb": 0.5, \
        "step": 0, "step_time": 1.5}
        """)
    #expect(record.run.testDomains == [1, 0])
    #expect(record.run.hparamsSeed == 2)
    #expect(record.domains[0] == DomainScore(inAccuracy: 1, outAccuracy: 0.5))
    #expect(record.domains[1].outAccuracy.isNaN)
    #expect(record.domains[1].wholeAccuracy == nil)
    #expect(record.loss?.isNaN == true)
    #expect(record.memory == 0.5)
    #expect(record.extras == ["env0_uda_acc": 0.25])
  }

  @Test func `the accuracy on a whole domain weighs its splits by their sizes`() {
    #expect(DomainScore(inAccuracy: 0.5, outAccuracy: 0.25, inCount: 80, outCount: 20).wholeAccuracy == 0.45)
    #expect(DomainScore(inAccuracy: 0.5, outAccuracy: .nan, inCount: 4, outCount: 0).wholeAccuracy == 0.5)
    #expect(DomainScore(inAccuracy: 0.5, outAccuracy: 0.5, inCount: 0, outCount: 0).wholeAccuracy == nil)
    #expect(DomainScore(inAccuracy: 0.5, outAccuracy: 0.5, inCount: -1, outCount: 2).wholeAccuracy == nil)
  }

  @Test(arguments: [
    ("[1]", "is not a JSON object"),
    (#"{"step": 1}"#, #"has no "args""#),
    (
      #"{"args": {"dataset": "D", "algorithm": "A", "test_envs": [0], "trial_seed": 0}}"#,
      #"has no "hparams_seed" in its "args""#
    ),
    (#"{"args": {"dataset": 3}}"#, #"has a number for "dataset" in its "args" where a string belongs"#),
    (
      #"{"args": {"dataset": "D", "algorithm": "A", "test_envs": [0, 0]}}"#,
      #"has an array for "test_envs" in its "args" where a list of different domain numbers belongs"#
    ),
    (line(#""epoch": 1"#), #"has no "step""#),
    (line(#""step": 1.5, "epoch": 1"#), #"has a number for "step" where a whole number belongs"#),
    (line(#""step": 1, "epoch": "1""#), #"has a string for "epoch" where a number belongs"#),
    (
      line(#""step": 1, "epoch": 1"#),
      #"has domain 0 in "test_envs" but no "env0_in_acc" (0 domains scored)"#
    ),
    (line(#""step": 1, "epoch": 1, "env0_in_acc": 1"#), #"has no "env0_out_acc""#),
    (
      line(#""step": 1, "epoch": 1, "env0_in_acc": 1, "env0_out_acc": 1, "env2_in_acc": 1"#),
      #"has "env2_in_acc", which belongs to no scored domain"#
    ),
  ])
  func `a line that is no record is refused with the reason`(line: String, reason: String) {
    #expect(throws: ResultsError.invalidRecord(reason: reason)) { try ResultRecord(json: line) }
  }

  @Test func `text that is no JSON is refused with the byte where it goes wrong`() {
    let error = #expect(throws: ResultsError.self) { try ResultRecord(json: #"{"step": 3"#) }
    #expect(error?.description.hasPrefix("A result record is not valid JSON (byte 10: ") == true)
  }

  private static func line(_ rest: String) -> String {
    #"{"args": {"dataset": "D", "algorithm": "A", "test_envs": [0], "trial_seed": 0, "hparams_seed": 0}, \#(rest)}"#
  }
}

/// What `json.dumps(record, sort_keys=True)` of Python 3.11 gave for the same values.
let sampleLine = #"""
  {"args": {"algorithm": "ERM", "dataset": "PACS", "holdout_fraction": 0.2, "hparams_seed": 0, "lr": 5e-05, \#
  "output_dir": "runs/\u00e9", "seed": 1, "test_envs": [0], "trial_seed": 0}, "env0_in_acc": 0.5, "env0_in_n": 80, \#
  "env0_out_acc": 0.25, "env0_out_n": 20, "env1_in_acc": 0.9, "env1_in_n": 8, "env1_out_acc": 0.8, "env1_out_n": 2, \#
  "epoch": 1.5, "hparams": {"aux": true, "lr": 5e-05, "note": null, "ranks": [1, 2, 4, 8]}, "loss": 0.25, \#
  "mem_gb": 1.0, "skipped_images": 3, "step": 300, "step_time": 0.125}
  """#

let sampleRecord = ResultRecord(
  run: RunArguments(
    dataset: "PACS", algorithm: "ERM", testDomains: [0], seed: 1, outputDirectory: "runs/é",
    others: ["holdout_fraction": 0.2, "lr": 5e-5]),
  hyperparameters: ["lr": 5e-5, "ranks": [1, 2, 4, 8], "aux": true, "note": nil],
  step: 300, epoch: 1.5, loss: 0.25, stepTime: 0.125, memory: 1,
  domains: [
    DomainScore(inAccuracy: 0.5, outAccuracy: 0.25, inCount: 80, outCount: 20),
    DomainScore(inAccuracy: 0.9, outAccuracy: 0.8, inCount: 8, outCount: 2),
  ],
  extras: ["skipped_images": 3])
