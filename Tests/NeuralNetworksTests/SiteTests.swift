import NeuralNetworks
import Testing

@Suite struct SiteTests {
  /// Three blocks of four sites, and one site that belongs to no block.
  private let sites: [Site] =
    (0..<3).flatMap { (block: Int) -> [Site] in
      [
        Site(name: "blocks.\(block).attn.qkv", block: block, role: .qkv, inFeatures: 4, outFeatures: 12),
        Site(name: "blocks.\(block).attn.proj", block: block, role: .proj, inFeatures: 4, outFeatures: 4),
        Site(name: "blocks.\(block).mlp.fc1", block: block, role: .fc1, inFeatures: 4, outFeatures: 8),
        Site(name: "blocks.\(block).mlp.fc2", block: block, role: .fc2, inFeatures: 8, outFeatures: 4),
      ]
    } + [Site(name: "pooler", block: nil, role: .proj, inFeatures: 4, outFeatures: 4)]

  private func names(_ targets: Targets, _ blocks: Blocks) throws -> [String] {
    try sites.selected(targets, blocks).map(\.name)
  }

  @Test func `targets choose roles, in the backbone's order and within blocks only`() throws {
    #expect(try names(.qkv, .all) == ["blocks.0.attn.qkv", "blocks.1.attn.qkv", "blocks.2.attn.qkv"])
    #expect(try names(.attention, .only([1])) == ["blocks.1.attn.qkv", "blocks.1.attn.proj"])
    #expect(try names([.fc2, .fc1], .only([0])) == ["blocks.0.mlp.fc1", "blocks.0.mlp.fc2"])
    #expect(try names(.proj, .all) == ["blocks.0.attn.proj", "blocks.1.attn.proj", "blocks.2.attn.proj"])
    #expect(try sites.selected(.allLinear, .all) == sites.dropLast())
    #expect(Targets.mlp == [.fc1, .fc2])
    #expect(Targets.fc1.roles == [.fc1] && Targets.fc2.roles == [.fc2])
  }

  @Test func `blocks are chosen by index`() throws {
    #expect(try Blocks.all.indices(of: 5) == [0, 1, 2, 3, 4])
    #expect(try Blocks.everySecond.indices(of: 5) == [0, 2, 4])
    #expect(try Blocks.everySecond.indices(of: 4) == [0, 2])
    #expect(try Blocks.last(2).indices(of: 5) == [3, 4])
    #expect(try Blocks.last(5).indices(of: 5) == [0, 1, 2, 3, 4])
    #expect(try Blocks.only([4, 1, 1]).indices(of: 5) == [1, 4])
    #expect(try names(.fc1, .last(1)) == ["blocks.2.mlp.fc1"])
    #expect(try names(.fc1, .everySecond) == ["blocks.0.mlp.fc1", "blocks.2.mlp.fc1"])
  }

  @Test(arguments: [3, -1, Int.max, Int.min])
  func `a block that the backbone does not have is refused`(_ index: Int) throws {
    let error = try thrown(PlacementError.self) { _ = try sites.selected(.qkv, .only([0, index])) }
    #expect(error == .block(index, count: 3))
    #expect(error.description == "Block \(index) is not one of the backbone's 3 blocks, 0 to 2.")
  }

  @Test(arguments: [0, -2, 4, Int.max])
  func `no block, or more last blocks than there are, are refused`(_ number: Int) throws {
    let error = try thrown(PlacementError.self) { _ = try Blocks.last(number).indices(of: 3) }
    #expect(error == .last(number, count: 3))
    #expect(error.description.hasPrefix("The last \(number) of the backbone's 3 blocks were asked for"))
  }

  @Test func `a backbone without blocks has none to choose`() throws {
    #expect(try Blocks.all.indices(of: 0) == [])
    #expect(throws: PlacementError.last(1, count: 0)) { try Blocks.last(1).indices(of: 0) }
    let error = try thrown(PlacementError.self) { _ = try Blocks.only([0]).indices(of: 0) }
    #expect(error.description == "The backbone has no blocks, and block 0 was asked for.")
    #expect(throws: PlacementError.nothing(targets: "proj", blocks: "all")) {
      try sites.suffix(1).selected(.proj, .all)
    }
  }

  @Test func `a role that the backbone does not have is refused with those it has`() throws {
    let error = try thrown(PlacementError.self) {
      _ = try sites.selected([.qkv, Site.Role(rawValue: "querry")], .all)
    }
    let known = ["fc1", "fc2", "key", "proj", "qkv", "query", "value"]
    #expect(error == .role("querry", known: known))
    #expect(
      error.description
        == "The backbone has no site 'querry'. Did you mean 'query'? Its sites are \(known.joined(separator: ", ")).")
  }

  @Test func `a role of a part chooses rows of the map, and not together with the whole of it`() throws {
    let chosen = try sites.selected(.queryAndValue, .only([1]))
    #expect(chosen.map(\.role) == [.query, .value])
    let whole = try #require(sites.first { $0.block == 1 && $0.role == .qkv })
    #expect(chosen == [whole.parts[0], whole.parts[2]])
    #expect(chosen.allSatisfy { $0.whole?.name == whole.name && $0.outFeatures == whole.outFeatures / 3 })
    #expect(chosen[1].whole?.rows == whole.outFeatures / 3 * 2..<whole.outFeatures)
    #expect(chosen[1].parts == [])
    let error = try thrown(PlacementError.self) { _ = try sites.selected([.value, .qkv], .only([1])) }
    #expect(
      error.description == "'\(whole.name).value' is part of '\(whole.name)', and both were asked for. "
        + "Adapt the whole map or its parts.")
  }

  @Test func `a choice that leaves nothing to adapt is refused`() throws {
    let error = try thrown(PlacementError.self) { _ = try sites.selected(.attention, .only([])) }
    #expect(error == .nothing(targets: "qkv, proj", blocks: ""))
    #expect(
      error.description
        == "No site is both one of [qkv, proj] and in the blocks []: nothing would be adapted.")
    #expect(throws: PlacementError.nothing(targets: "", blocks: "last 2")) { try sites.selected([], .last(2)) }
  }

  @Test func `choices read as words`() {
    #expect(Targets.attention.description == "qkv, proj")
    #expect(Blocks.all.description == "all")
    #expect(Blocks.everySecond.description == "every second")
    #expect(Blocks.last(3).description == "last 3")
    #expect(Blocks.only([7, 2]).description == "7, 2")
    #expect(Site.Role.fc1.description == "fc1")
  }
}
