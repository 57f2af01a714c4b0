import Testing

@testable import Reports

@Suite struct PatchGridTests {
  func makeGrid() throws -> PatchGrid {
    let picture = try PixelImage(width: 2, height: 2, pixels: [UInt8](repeating: 100, count: 12))
    return try PatchGrid(
      title: "routing", experts: ["e0", "e1 & co", "e2"],
      images: [
        .init(
          caption: "photo/dog", picture: picture,
          panels: [.init(caption: "blocks.0", rows: 2, columns: 3, patches: [0, 0, 1, 2, 1, 1], classToken: 2)])
      ])
  }

  @Test func `patches have the colours of their experts, neighbours joined`() throws {
    let patches = elements("rect", in: try makeGrid().svg).filter { $0["fill-opacity"] != nil }
    #expect(patches.map { $0["fill"] } == ["#0072b2", "#e69f00", "#009e73", "#e69f00"])
    // Patches are 56 by 84; the grid begins beside the image and the class token.
    #expect(patches.map { $0["width"] } == ["112", "56", "56", "112"])
    #expect(patches.map { $0["x"] } == ["238", "350", "238", "294"])
    let y = patches.compactMap { $0["y"].flatMap(Double.init) }
    #expect(y.map { $0 - y[0] } == [0, 0, 84, 84])
  }

  @Test func `the class token stands beside the grid`() throws {
    let svg = try makeGrid().svg
    let token = try #require(elements("rect", in: svg).first { $0["stroke"] != nil })
    #expect(token["fill"] == "#009e73")
    #expect(token["x"] == "208")
    #expect(svg.contains(">CLS</text>"))
  }

  @Test func `the picture is embedded once and shown twice`() throws {
    let svg = try makeGrid().svg
    #expect(svg.matches(of: /data:image\/png;base64,iVBORw0KGgo/).count == 1)
    #expect(elements("use", in: svg).map { $0["xlink:href"] } == ["#image0", "#image0"])
    #expect(elements("use", in: svg).map { $0["filter"] } == [nil, "url(#grey)"])
    #expect(svg.contains("e1 &amp; co"))
    #expect(isWellFormed(svg))
  }

  @Test func `a grid that is not full, and experts without a name, are refused`() throws {
    #expect(throws: DrawingError.patchCount(5, rows: 2, columns: 3)) {
      try PatchGrid.Panel(caption: "", rows: 2, columns: 3, patches: [0, 0, 0, 0, 0], classToken: nil)
    }
    #expect(throws: DrawingError.patchCount(0, rows: 0, columns: 3)) {
      try PatchGrid.Panel(caption: "", rows: 0, columns: 3, patches: [], classToken: nil)
    }
    let picture = try PixelImage(width: 1, height: 1, pixels: [0, 0, 0])
    let panel = try PatchGrid.Panel(caption: "", rows: 1, columns: 1, patches: [0], classToken: 3)
    #expect(throws: DrawingError.unknownExpert(3, names: 3)) {
      try PatchGrid(
        title: "", experts: ["a", "b", "c"], images: [.init(caption: "", picture: picture, panels: [panel])])
    }
  }
}
