import Formats
import Testing

@testable import Adapters

@Suite struct AdapterMethodsTests {
  @Test func `methods are found by name, in any case, with dashes or underscores`() throws {
    for name in ["lora", "LORA", "LoRA"] { #expect(try adapterConfiguration(named: name) as? LoRA == LoRA()) }
    for name in ["mixture-of-adapters", "MIXTURE_OF_ADAPTERS"] {
      #expect(try adapterConfiguration(named: name) as? MixtureOfAdapters == MixtureOfAdapters())
    }
    #expect(Set(adapterMethods.map { $0.summary }).count == adapterMethods.count)
  }

  @Test func `settings change the defaults, one by one`() throws {
    let lora = try #require(adapterConfiguration(named: "lora", settings: ["rank": 3, "dropout": 0.5]) as? LoRA)
    var expected = LoRA()
    expected.rank = 3
    expected.dropout = 0.5
    #expect(lora == expected)
    // Nil by default, and still a setting.
    let mixture = try adapterConfiguration(named: "mixture_of_adapters", settings: ["noise": 0, "ranks": [2, 2]])
    #expect((mixture as? MixtureOfAdapters)?.noise == 0)
    #expect((mixture as? MixtureOfAdapters)?.ranks == [2, 2])
  }

  @Test func `an unknown method, an unknown setting and a wrong type are refused with what there is`() throws {
    let method = try thrown(MethodError.self) { _ = try adapterConfiguration(named: "lorra") }
    let known = adapterMethods.map { $0.method.lowercased() }.joined(separator: ", ")
    #expect(method.description == "There is no method 'lorra'. Did you mean 'lora'? The methods are \(known).")
    let setting = try thrown(MethodError.self) {
      _ = try adapterConfiguration(named: "lora", settings: ["rnak": 3])
    }
    #expect(
      setting.description == """
        lora has no setting 'rnak'. Did you mean 'rank'? Its settings are alpha, dropout, hasBias, \
        initialization, overrides, rank, rankStabilized, tunedTensors.
        """)
    let type = try thrown(MethodError.self) { _ = try adapterConfiguration(named: "lora", settings: ["rank": "two"]) }
    #expect(type.description == "A setting of lora does not fit: 'rank': wrong type.")
    let none = try thrown(MethodError.self) {
      _ = try adapterConfiguration(named: "linear_probe", settings: ["rank": 1])
    }
    #expect(none.description == "linear_probe has no setting 'rank'. Its settings are none.")
  }
}
