/// Where a mixture's router sends the tokens of an image: the patch grid coloured by expert, as in Figure 5 of the
/// Mixture-of-Adapters paper (Lee et al. 2023, arXiv:2310.11031).
///
/// A row per image: the image itself, then one panel per layer (or per anything else), in which every patch has the
/// colour of the expert that its token chose, over the image in grey. The class token, which has no place in the image,
/// is a square beside the grid.
public struct PatchGrid: Equatable, Sendable {
  public var title: String
  /// What the legend says of each expert, in order: `"expert 0 (rank 1)"`.
  public var experts: [String]
  public var images: [Image]

  public struct Image: Equatable, Sendable {
    public var caption: String
    public var picture: PixelImage
    public var panels: [Panel]

    public init(caption: String, picture: PixelImage, panels: [Panel]) {
      self.caption = caption
      self.picture = picture
      self.panels = panels
    }
  }

  public struct Panel: Equatable, Sendable {
    public var caption: String
    public let rows: Int
    public let columns: Int
    /// The expert of every patch, row by row from the top.
    public let patches: [Int]
    /// The expert of the class token; `nil` where the model has none.
    public let classToken: Int?

    /// - Throws: `DrawingError.patchCount` unless `patches` holds `rows · columns` experts.
    public init(caption: String, rows: Int, columns: Int, patches: [Int], classToken: Int?) throws(DrawingError) {
      // No picture has more patches to a side than pixels.
      guard 1...PixelImage.largestSide ~= rows, 1...PixelImage.largestSide ~= columns, patches.count == rows * columns
      else { throw .patchCount(patches.count, rows: rows, columns: columns) }
      self.caption = caption
      self.rows = rows
      self.columns = columns
      self.patches = patches
      self.classToken = classToken
    }
  }

  /// - Throws: `DrawingError.unknownExpert` if a token chose an expert that is not named.
  public init(title: String, experts: [String], images: [Image]) throws(DrawingError) {
    let chosen = images.flatMap(\.panels).flatMap { $0.patches + ($0.classToken.map { [$0] } ?? []) }
    if let unknown = chosen.first(where: { !experts.indices.contains($0) }) {
      throw .unknownExpert(unknown, names: experts.count)
    }
    self.title = title
    self.experts = experts
    self.images = images
  }

  private static let side = 168.0
  private static let gap = 16.0
  /// The width of the column that holds the class token's square.
  private static let token = 34.0

  public var svg: String {
    let (side, gap, token) = (Self.side, Self.gap, Self.token)
    let panels = images.map(\.panels.count).max() ?? 0
    let content = side + Double(panels) * (gap + token + side)
    let titleWidth = SVG.width(of: title, size: 15) * 1.05
    var svg = SVG(width: max(content, titleWidth, 320) + 40, height: 0)
    var top = 16.0
    if !title.isEmpty {
      svg.text(title, x: 20, y: top + 13, size: 15, bold: true)
      top += 30
    }
    let legend = experts.enumerated().map { (name: $1, color: Palette.color($0)) }
    top += svg.legend(legend, x: 20, y: top, width: svg.width - 40) + 8

    for (index, image) in images.enumerated() {
      let aspect = Double(image.picture.height) / Double(image.picture.width)
      let height = side * min(max(aspect, 0.25), 4)
      svg.define(image.picture, as: "image\(index)", width: side, height: height)
      svg.use("image\(index)", x: 20, y: top)
      svg.text(image.caption, x: 20 + side / 2, y: top + height + 16, anchor: .middle)
      for (panel, content) in image.panels.enumerated() {
        let x = 20 + side + gap + Double(panel) * (gap + token + side)
        draw(content, over: "image\(index)", in: &svg, x: x, y: top, height: height)
      }
      top += height + 34
    }
    svg.height = top
    return svg.document(title: title)
  }

  private func draw(
    _ panel: Panel, over image: String, in svg: inout SVG, x: Double, y: Double, height: Double
  ) {
    if let expert = panel.classToken {
      svg.rectangle(x: x + 4, y: y, width: 24, height: 24, fill: Palette.color(expert), stroke: SVG.ink)
      svg.text("CLS", x: x + 16, y: y + 38, size: 10, anchor: .middle, fill: SVG.muted)
    }
    let left = x + Self.token
    svg.use(image, x: left, y: y, grey: true)
    let (patchWidth, patchHeight) = (Self.side / Double(panel.columns), height / Double(panel.rows))
    for row in 0..<panel.rows {
      var start = 0
      // Neighbours with the same expert are one rectangle.
      for column in 1...panel.columns {
        let expert = panel.patches[row * panel.columns + start]
        if column < panel.columns, panel.patches[row * panel.columns + column] == expert { continue }
        svg.rectangle(
          x: left + Double(start) * patchWidth, y: y + Double(row) * patchHeight,
          width: Double(column - start) * patchWidth, height: patchHeight, fill: Palette.color(expert), opacity: 0.6)
        start = column
      }
    }
    let vertical = (1..<max(1, panel.columns)).map { column in
      [(x: left + Double(column) * patchWidth, y: y), (x: left + Double(column) * patchWidth, y: y + height)]
    }
    let horizontal = (1..<max(1, panel.rows)).map { row in
      [(x: left, y: y + Double(row) * patchHeight), (x: left + Self.side, y: y + Double(row) * patchHeight)]
    }
    svg.path(vertical + horizontal, stroke: "#ffffff", width: 0.75, opacity: 0.6)
    svg.text(panel.caption, x: left + Self.side / 2, y: y + height + 16, anchor: .middle)
  }
}
