/// What cannot be mixed, compared or pruned.
public enum MixingError: Error, Equatable, CustomStringConvertible {
  case count(Int, expected: Int)
  case layout(String, String)
  case noAdapters
  case notFinite(String, adapter: String)
  // Signs and pruning.
  case noWeights
  case noInitial(String)
  case noChange(String, String)
  case density(Double)
  case nothingToCompare(String)

  public var description: String {
    switch self {
    case .count(let found, let expected): "\(found) numbers were given for an adapter of \(expected)."
    case .layout(let first, let second):
      """
      The adapters differ in structure: one has \(first) where the other has \(second). Parameters are mixed only among \
      adapters of one method, of the same settings, at the same sites; the changes of the weights can be mixed whatever \
      made them.
      """
    case .noAdapters: "There is no adapter to work on. Name at least one."
    case .notFinite(let entry, let adapter):
      "'\(entry)' of the adapter \(adapter) holds NaN or infinity. The run that made it has diverged; leave it out."
    case .noWeights:
      """
      The adapters have no weight matrices: biases, LayerNorms and scales say nothing about signs and are not pruned.
      """
    case .noInitial(let adapter):
      """
      What the adapter \(adapter) was before its training is not known: its graft.json has no initial seed. Take the signs of \
      the weights themselves.
      """
    case .noChange(let adapter, let reason):
      "The adapter \(adapter) is no change of the backbone's linear maps: \(reason). Compare its own parameters instead."
    case .density(let density):
      "The density is \(density); it is the fraction of the weights that is kept, above 0 and at most 1."
    case .nothingToCompare(let criterion):
      "\(criterion) compares the adapter with those it is to be mixed with. Name them, or prune by magnitude."
    }
  }
}
