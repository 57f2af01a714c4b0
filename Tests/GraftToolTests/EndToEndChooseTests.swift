import Formats
import Foundation
import Testing

@testable import GraftTool

/// `graft choose` as a process.
@Suite struct EndToEndChooseTests {
  private func adapters(_ fixture: ToolFixture, _ names: [String]) throws -> [String] {
    try names.enumerated().map { seed, name in
      let folder = fixture.root.appendingPathComponent(name).path
      let run = try fixture.run(fixture.training("lora", steps: 3) + ["--seed", "\(seed)", "--output", folder])
      #expect(run.status == 0, "\(run.errors)")
      return folder
    }
  }

  @Test func `by signs, adapters come in the order of their FSD to the target, with the command that mixes them`()
    throws
  {
    let fixture = try ToolFixture()
    let folders = try adapters(fixture, ["ink", "paint", "photo"])
    let arguments = ["choose"] + folders + ["--rule", "fsd", "--target", "paint"]
    let found = try fixture.run(arguments + ["--json"])
    #expect(found.status == 0, "\(found.errors)")
    let json = try JSONValue(parsing: found.output)
    let candidates = try #require(json["candidates"]?.array)
    #expect(candidates.first?["name"]?.string == "paint" && candidates.count == 3)
    let scores = candidates.compactMap { $0["score"]?.double }
    #expect(scores[0] == 0 && scores[1] > 0.1 && scores[1] <= scores[2] && scores[2] < 0.9)
    #expect(candidates.allSatisfy { ($0["weight"]?.double).map { abs($0 - 1 / 3.0) < 1e-12 } ?? false })
    #expect(json["fsd_of_the_set"]?.array?.count == 3)

    let text = try fixture.run(arguments + ["--maximum", "2"])
    #expect(text.output.contains("FSD to paint") && text.output.contains("beyond the first 2"))
    #expect(text.errors.contains("graft mix ") && text.errors.contains("@0.5000 --method weighted"))
    let limited = try fixture.run(arguments + ["--maximum-fsd", "0.0001"])
    #expect(limited.output.contains("above 0.0001") && limited.output.contains("after the end of the choice"))
  }

  @Test func `what cannot be chosen is refused with the remedy`() throws {
    let fixture = try ToolFixture()
    let folders = try adapters(fixture, ["ink", "paint"])
    func complaint(_ status: Int32, _ arguments: [String]) throws -> String {
      let run = try fixture.run(["choose"] + arguments)
      #expect(run.status == status && run.output.isEmpty)
      return run.errors
    }
    #expect(
      try complaint(1, folders + ["--rule", "fsd", "--target", "pait"]).contains("Did you mean 'paint'?"))
    #expect(
      try complaint(1, [folders[0], folders[0], "--rule", "fsd", "--target", "ink"]).contains("is named twice"))
    #expect(
      try complaint(64, ["--rule", "greedy-soup", "--target", "ink"]).contains("chooses among adapters. Name them."))
    #expect(
      try complaint(64, folders + ["--target", "ink", "--maximum-fsd", "0.3"]).contains("goes with --rule fsd"))
    #expect(
      try complaint(1, folders + ["--target", "photo"]).contains("graft choose takes a text encoder"))
  }

  @Test(
    .enabled(if: Fetched.folder("models/minilm") != nil && Fetched.folder("data/sentiment") != nil),
    arguments: ["similarity", "clustering"])
  func `on the real sentences, the domains that are like the target come first`(_ rule: String) throws {
    let fixture = try ToolFixture()
    let (model, data) = try (#require(Fetched.folder("models/minilm")), #require(Fetched.folder("data/sentiment")))
    let found = try fixture.run(
      "choose", "--model", model.path, "--data", data.path, "--target", "movie", "--rule", rule, "--json")
    #expect(found.status == 0, "\(found.errors)")
    let json = try JSONValue(parsing: found.output)
    // Film reviews and the newspaper's sentences are prose; tweets are not.
    #expect(json["candidates"]?.array?.compactMap { $0["name"]?.string }.first == "nyt")
    #expect(json["fallback"]?.bool == (rule == "similarity"))
    #expect(json["candidates"]?.array?.count == 3)
  }
}

/// What `scripts/fetch` has built.
private enum Fetched {
  static func folder(_ name: String) -> URL? {
    let variables = ProcessInfo.processInfo.environment
    let home = variables["XDG_CACHE_HOME"].map { URL(fileURLWithPath: $0, isDirectory: true) }
    let caches = home ?? FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(".cache")
    let cache = variables["GRAFT_CACHE"].map { URL(fileURLWithPath: $0) } ?? caches.appendingPathComponent("graft")
    let folder = cache.appendingPathComponent(name)
    return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
  }
}
