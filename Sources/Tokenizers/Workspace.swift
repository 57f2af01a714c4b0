import Synchronization

/// The buffers of one call of `encode`, kept for the next.
///
/// `@unchecked` because the pool hands a workspace to one call at a time.
final class Workspace: @unchecked Sendable {
  var raw: AlignedText = []
  var rawPieces: [Piece] = []
  var part: AlignedText = []
  var text: AlignedText = []
  var pieces: [Piece] = []
  var tokens = (TokenList(), TokenList())
  var normalizer = NormalizerScratch()
  var preTokenizer = PreTokenizerScratch()
  var bytePairs = BPEScratch()

  /// Whether the buffers are small enough to be kept.
  var isModest: Bool { raw.capacity <= 1 << 20 }
}

/// As many workspaces as calls that run at the same time, each with the words it has met.
final class WorkspacePool: Sendable {
  private let idle = Mutex<[Workspace]>([])

  func take() -> Workspace { idle.withLock { $0.popLast() } ?? Workspace() }

  /// A workspace that a huge text has blown up goes; the others stay.
  func put(_ workspace: Workspace) {
    guard workspace.isModest else { return }
    idle.withLock { $0.append(workspace) }
  }
}
