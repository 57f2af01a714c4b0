/// An adapter as a folder gave it, with what the folder says about itself.
public struct LoadedAdapter: Sendable {
  public var model: AdaptedModel
  public let format: AdapterFormat
  /// The program and version that wrote the files, where they say so.
  public let writer: String?
  /// What the files hold that a forward pass does not need, and was left out: each with the reason.
  public let notes: [String]
}
