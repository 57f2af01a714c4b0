import Datasets
import Formats
import Foundation
import Testing
import Training

@testable import GraftTool

@Suite struct SectionTests {
  private func section(_ text: String, known: [String] = TrainSettings.keys) throws -> Section {
    var section = Section()
    try section.add(YAMLFile(text, name: "a.yaml"), known: known)
    return section
  }

  @Test func `an unknown key is named with its place and the nearest one there is`() {
    #expect {
      try section("steps: 5\n  \nlearning_rat: 0.1")
    } throws: {
      "\($0)".hasPrefix("a.yaml:3:1: there is no setting 'learning_rat'. Did you mean 'learning_rate'?")
    }
  }

  @Test func `a value of the wrong type is named with its place`() throws {
    let section = try section("seed: 1\nsteps: many")
    #expect(
      throws: ConfigurationError.type(
        "steps", place: "a.yaml:2:1", expected: "a whole number", found: "\"many\"")
    ) { try section.trainingConfiguration() }
    #expect(
      throws: ConfigurationError.type(
        "seed", place: "a.yaml:1:1", expected: "a list of numbers, as in [1e-4, 1e-3]", found: "1")
    ) {
      try section.numbers("seed")
    }
  }

  @Test func `a value out of range is named with its place`() throws {
    #expect(
      throws: ConfigurationError.value(
        place: "a.yaml:1:1", problem: "'steps' cannot be 0. Give 1 to 1000000000.")
    ) { try section("steps: 0").trainingConfiguration() }
  }

  @Test func `flags go over the file, the file over defaults`() throws {
    var section = try section("steps: 5\nseed: 3")
    section.set("steps", 7, flag: "--steps")
    section.set("seed", nil, flag: "--seed")
    let recipe = try section.trainingConfiguration()
    #expect(recipe.steps == 7)
    #expect(recipe.seed == 3)
    #expect(recipe.batchPerDomain == TrainingConfiguration().batchPerDomain)
    #expect(section.place("steps") == "--steps")
    #expect(section.place("seed") == "a.yaml:2:1")
  }

  @Test func `a flag changes one setting of a mapping and leaves the others`() throws {
    var section = try section("settings: {alpha: 4, rank: 2}")
    section.set("settings", "rank", 8, flag: "--rank")
    #expect(section.values["settings"] == ["alpha": 4, "rank": 8])
    #expect(section.place("settings.rank") == "--rank")
    #expect(section.place("settings.alpha") == "a.yaml:1:12")
  }

  @Test func `augmentation can be left out, kept, or changed in part`() throws {
    #expect(try section("augmentation: none").trainingConfiguration().augmentation == nil)
    #expect(try section("augmentation: default").trainingConfiguration() == TrainingConfiguration())
    let changed = try section("augmentation: {hue: 0, grayscale_probability: 0.25}").trainingConfiguration()
      .augmentation
    #expect(changed?.hue == 0)
    #expect(changed?.grayscaleProbability == 0.25)
    #expect(changed?.brightness == 0.3)
    #expect {
      try section("augmentation:\n  hoe: 0").trainingConfiguration()
    } throws: {
      "\($0)".hasPrefix("a.yaml:2:3: there is no setting 'hoe'. Did you mean 'hue'?")
    }
  }
}
