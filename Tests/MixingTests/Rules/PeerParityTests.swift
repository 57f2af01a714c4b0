import Adapters
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Testing

@testable import Mixing

/// Numbers that PEFT 0.21.2 and MergeKit 0.1.5 gave for the same inputs: `scripts/fixtures/mixing.py`.
@Suite struct PeerParityTests {
  private let description: JSONValue
  private let file: SafetensorsFile

  init() throws {
    let folder = try #require(Bundle.module.resourceURL).appending(path: "Fixtures")
    description = try JSONValue(contentsOf: folder.appending(path: "mixing.json"))
    file = try SafetensorsFile(contentsOf: folder.appending(path: "mixing.safetensors"))
  }

  private static let mergeKitCases = [
    "linear", "linear_sum", "task_arithmetic", "ties", "ties_sum", "dare_linear", "dare_ties", "dare_unscaled", "della",
    "della_linear", "breadcrumbs", "breadcrumbs_ties", "breadcrumbs_small_gamma", "sce", "sce_topk", "model_stock",
    "model_stock_rows", "nuslerp", "nuslerp_columns", "nuslerp_rows", "multislerp", "multislerp_plain", "karcher",
    "ties_fraction", "breadcrumbs_fraction", "slerp",
  ]

  @Test func `every case of the file is looked at`() throws {
    let names = description["mergekit"]?.array?.compactMap { $0["name"]?.string }
    #expect(names == Self.mergeKitCases)
  }

  @Test(arguments: mergeKitCases) func `MergeKit gives the same`(_ name: String) throws {
    let found = description["mergekit"]?.array?.first { $0["name"]?.string == name }
    let entry = try #require(found)
    let rule = try mixingRule(
      named: #require(entry["rule"]?.string), settings: #require(entry["settings"]?.object))
    let weights = try #require(entry["weights"]?.array).compactMap(\.double)
    let members = try (0..<(entry["members"]?.integer ?? 0)).map { try vector("mergekit.member.\($0)") }
    let mixed = try VectorMixer(
      members, names: members.indices.map { "\($0)" }, rules: [(rule, weights)],
      initial: entry["based"]?.bool == true ? vector("mergekit.base") : nil, conventions: .mergeKit
    ).mixed(seed: 0) { _, member in try file.tensor("draws.mergekit.\(name).\(member)").floats() }
    let expected = try file.tensor("mergekit.\(name)").floats()
    for (one, other) in zip(mixed.values, expected) { #expect(abs(one - other) <= 1e-5) }
  }

  private func vector(_ name: String) throws -> AdapterVector {
    let tensor = try file.tensor(name)
    return try AdapterVector(AdapterLayout([(name: "weight", shape: tensor.shape, 0, true)]), tensor.floats())
  }

  // MARK: PEFT

  private func members() throws -> [MixMember] {
    let peft = try #require(description["peft"])
    let backbone = try MixingBackbone()
    let weights = try #require(peft["weights"]?.array).compactMap(\.double)
    let names = try #require(peft["members"]?.array).compactMap(\.string)
    return try zip(names, weights).map { name, weight in
      let lora = LoRA(rank: try #require(peft["rank"]?.integer), alpha: peft["alpha"]?.double)
      let model = try backbone.adapted(by: lora, at: [.fc1, .fc2])
      for (index, site) in model.adapter.sites.enumerated() {
        for factor in ["lora_A", "lora_B"] {
          try model.adapter.parameters.first { $0.name == "\(site.name).\(factor)" }?
            .load(file.tensor("peft.\(name).\(index).\(factor)"))
        }
      }
      return MixMember(name, model, weight: weight)
    }
  }

  private func rule(_ kind: String) -> any MixingRule {
    switch kind.replacing("_svd", with: "") {
    case "ties_fraction": return TIES(density: 0.53, agreement: .count)
    case "magnitude_prune_fraction": return MagnitudePrune(density: 0.53)
    case "ties": return TIES(density: 0.5, agreement: .count)
    case "dare_linear": return DARE(density: 0.5)
    case "dare_ties":
      var rule = DARE(density: 0.5, elect: true)
      (rule.agreement, rule.normalize) = (.count, true)
      return rule
    case "magnitude_prune": return MagnitudePrune(density: 0.5)
    default: return TaskArithmetic()
    }
  }

  private func expectSame(_ mix: Mix, _ kind: String, tolerance: Double = 2e-5) throws {
    let adapter = try mix.result().model.adapter
    for (index, site) in adapter.sites.enumerated() {
      let found = try #require(
        try adapter.delta(of: mix.members[0].model.backbone.linear(at: site))?.weight
      ).materialized().detached()
      #expect(try found.isClose(to: file.tensor("peft.\(kind).\(index).delta"), tolerance: tolerance), "\(site.name)")
    }
  }

  @Test(arguments: ["svd", "ties_svd", "magnitude_prune_svd"]) func `PEFT gives the same changes`(_ kind: String) throws
  {
    try expectSame(Mix(members(), by: rule(kind), form: .rank(4)), kind)
  }

  @Test func `PEFT's concatenation is the same sum`() throws {
    try expectSame(Mix(members(), by: TaskArithmetic()), "cat")
  }

  @Test(arguments: ["linear", "ties", "magnitude_prune", "ties_fraction", "magnitude_prune_fraction"])
  func `PEFT's rules for factors give the same, right or wrong`(_ kind: String) throws {
    try expectSame(Mix(members(), by: rule(kind), space: .peftFactors), kind)
  }

  @Test(arguments: ["dare_linear_svd", "dare_ties_svd"]) func `PEFT drops the same numbers of changes`(_ kind: String)
    throws
  {
    let members = try members()
    for (index, site) in members[0].model.adapter.sites.enumerated() {
      let vectors = try members.map { member in
        let delta = try member.model.adapter.delta(of: member.model.backbone.linear(at: site))?.weight
        let matrix = try #require(delta).materialized().detached()
        return try AdapterVector(AdapterLayout([("weight", matrix.shape, 0, true)]), matrix.floats())
      }
      let mixed = try VectorMixer(
        vectors, names: members.map(\.name), rules: [(rule(kind), members.map(\.weight))], initial: nil
      ).mixed(seed: 0) { _, member in try file.tensor("draws.peft.\(kind).\(index).\(member)").floats() }
      let leading = try LeadingSingularVectors(
        of: Tensor(mixed.values, shape: [site.outFeatures, site.inFeatures]), count: 4)
      let expected = try file.tensor("peft.\(kind).\(index).delta")
      #expect(try leading.up.matmul(leading.down).isClose(to: expected, tolerance: 5e-5))
    }
  }

  @Test(arguments: ["dare_linear", "dare_ties"]) func `PEFT drops the same numbers of factors`(_ kind: String) throws {
    let members = try members()
    let scale = 6.0 / 4
    for (index, site) in members[0].model.adapter.sites.enumerated() {
      let mixed = try ["lora_A", "lora_B"].map { factor in
        let vectors = try members.map { member in
          let tensor = try file.tensor("peft.\(member.name).\(index).\(factor)")
          return try AdapterVector(AdapterLayout([(factor, tensor.shape, 0, true)]), tensor.floats())
        }
        let weights = members.map { member in
          (member.weight < 0 && factor == "lora_A" ? -1 : 1) * (member.weight.magnitude * scale).squareRoot()
        }
        let vector = try VectorMixer(vectors, names: members.map(\.name), rules: [(rule(kind), weights)], initial: nil)
          .mixed(seed: 0) { _, member in try file.tensor("draws.peft.\(kind).\(index).\(factor).\(member)").floats() }
        return try Tensor(vector.values, shape: vector.layout.entries[0].shape)
      }
      let expected = try file.tensor("peft.\(kind).\(index).delta")
      #expect(try mixed[1].matmul(mixed[0]).isClose(to: expected, tolerance: 5e-5), "\(site.name)")
    }
  }
}
