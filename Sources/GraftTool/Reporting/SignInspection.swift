import Adapters
import ArgumentParser
import Mixing
import Training

/// How signs are counted, as flags.
struct SignArguments: ParsableArguments {
  @Option(help: "The FSD of more than two adapters: pairwise (default), any or minority.")
  var reducer: SignReducer?

  @Option(
    help: "What a weight of 0 says: ignore, nothing (default); exclude, it does not count; ternary, a sign of its own.")
  var zeros: SignZeros?

  @Option(help: "Signs of the weights, raw (default), or of what training changed of them, delta.")
  var reference: SignReference?

  @Option(help: "Signs of the adapters' own parameters, factors (default), or of their changes of the network, delta.")
  var space: SignSpace?

  @Option(help: ArgumentHelp("Draw the pairs.", valueName: "file.svg"), completion: .file(extensions: ["svg"]))
  var figure: String?

  var isUsed: Bool { reducer != nil || zeros != nil || reference != nil || space != nil || figure != nil }

  var options: SignOptions {
    SignOptions(
      reducer: reducer ?? .pairwise, reference: reference ?? .raw, zeros: zeros ?? .ignore, space: space ?? .factors)
  }
}

extension SignReducer: ExpressibleByArgument {}
extension SignZeros: ExpressibleByArgument {}
extension SignReference: ExpressibleByArgument {}
extension SignSpace: ExpressibleByArgument {}

/// The signs of several adapters, for people.
enum SignInspection {
  @Compute
  static func report(of adapters: NamedAdapters, _ options: SignOptions) throws -> SignReport {
    try SignReport(of: adapters.models(), names: adapters.names, options: options)
  }

  static func text(of report: SignReport) -> String {
    let hasOverlaps = !report.overlaps.isEmpty
    var pairs = TextTable(
      header: ["Adapters", "FSD", "cosine"] + (hasOverlaps ? ["reads alike", "writes alike"] : []))
    for row in report.adapters.indices {
      for column in report.adapters.indices where column > row {
        let overlap = hasOverlaps ? report.overlaps[row][column] : nil
        pairs.rows.append(
          [
            "\(report.adapters[row]), \(report.adapters[column])", Quantity.fixed(report.pairs[row][column], 4),
            report.cosines[row][column].map { Quantity.fixed($0, 4) } ?? "-",
          ]
            + (hasOverlaps
              ? [
                overlap.map { Quantity.fixed($0.input, 4) } ?? "-", overlap.map { Quantity.fixed($0.output, 4) } ?? "-",
              ]
              : []))
      }
    }
    var blocks = TextTable(header: ["Block", "FSD (\(report.options.reducer.rawValue))"])
    blocks.rows = report.blocks.map { [$0.block.map(String.init) ?? "outside", Quantity.fixed($0.value, 4)] }
    let (options, whole) = (report.options, report.whole)
    return """
      \(pairs.text)
      all \(report.adapters.count)    pairwise \(Quantity.fixed(whole.pairwise, 4)), any \(Quantity.fixed(whole.any, 4)), \
      minority \(Quantity.fixed(whole.minority, 4))
      weights  \(Quantity.count(report.weights)) each; signs: \(options.reference.rawValue), of \(options.space.rawValue), \
      zeros: \(options.zeros.rawValue)

      \(blocks.text)
      """
  }
}
