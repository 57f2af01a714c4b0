import Crypto
import Formats
import Foundation

/// The folder of one run, named and marked as DomainBed's sweeps do, so that finished runs are found and not repeated.
///
/// - Its name is the MD5, in lower-case hexadecimal, of the arguments written by Python's
///   `json.dumps(args, sort_keys=True)`, without `output_dir`, which DomainBed adds only after hashing.
/// - It holds `results.jsonl`, and, once the run is over, a file `done` whose content is the word `done`.
public struct RunFolder: Equatable, Sendable {
  public let url: URL

  /// The folder that a run with these arguments has under `root`.
  public init(of run: RunArguments, in root: URL) throws {
    url = root.appendingPathComponent(try Self.name(for: run), isDirectory: true)
  }

  public init(at url: URL) {
    self.url = url
  }

  /// `output_dir` takes no part, so moving the results renames no run.
  public static func name(for run: RunArguments) throws -> String {
    var members = run.members
    members["output_dir"] = nil
    let digest = Insecure.MD5.hash(data: try JSONValue.object(members).data(.python))
    return digest.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  public enum State: Equatable, Sendable {
    case absent
    /// Begun, and interrupted or still running.
    case incomplete
    case done
  }

  public var state: State {
    if FileManager.default.fileExists(atPath: marker.path) { return .done }
    return FileManager.default.fileExists(atPath: url.path) ? .incomplete : .absent
  }

  public var results: ResultsFile { ResultsFile(at: url.appendingPathComponent(ResultsFile.name)) }

  /// - Throws: `FileError`.
  public func create() throws {
    do {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    } catch {
      throw FileError("create", url.path, wrapping: error)
    }
  }

  /// Says that the run is over. - Throws: `FileError`.
  public func markDone() throws {
    try AtomicFile.write("done", to: marker)
  }

  private var marker: URL { url.appendingPathComponent("done") }

  /// The results of all runs directly under `root`, folders in the order of their names, as `collect_results` gathers
  /// them. A folder without `results.jsonl` is no run and is passed over.
  ///
  /// - Throws: `FileError` if `root` cannot be listed or a results file cannot be read.
  public static func collect(in root: URL) throws -> [Collected] {
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: root.path) } catch {
      throw FileError("list", root.path, wrapping: error)
    }
    return try names.sorted().compactMap { name in
      let folder = RunFolder(at: root.appendingPathComponent(name, isDirectory: true))
      guard FileManager.default.fileExists(atPath: folder.results.url.path) else { return nil }
      return Collected(folder: folder, contents: try folder.results.read())
    }
  }

  /// One run's folder and what its results file holds.
  public struct Collected: Equatable, Sendable {
    public var folder: RunFolder
    public var contents: ResultsFile.Contents
  }
}
