import Formats
import Foundation

/// A mixture as it is written down: which adapters, by which rule, in which space, as what.
public struct MixRecipe: Sendable {
  /// An adapter to mix.
  public struct Source: Hashable, Sendable {
    /// Unique in the recipe.
    public var name: String
    public var folder: URL

    public init(_ name: String, at folder: URL) {
      self.name = name
      self.folder = folder
    }
  }

  public var sources: [Source]
  public var schedule: MixSchedule
  public var space = MixingSpace.delta
  public var form = MixForm.automatic
  /// Of the rules that draw at random.
  public var seed: UInt64 = 0
  /// The source whose classifier the mixture takes over.
  public var head: String?
  /// What of a file was understood and has no effect here.
  public var notes: [String] = []

  public init(_ sources: [Source], by schedule: MixSchedule) {
    self.sources = sources
    self.schedule = schedule
  }

  /// Folders under names of their own: the last part of the path that tells it from the others.
  public static func sources(_ folders: [URL]) -> [Source] {
    let parts = folders.map { $0.standardizedFileURL.pathComponents.filter { $0 != "/" } }
    return zip(folders, parts).map { folder, own in
      // Runs keep their adapter in a folder that is called the same in all of them.
      var count = own.last == "adapter" ? min(2, own.count) : 1
      while count < own.count, parts.count(where: { $0.suffix(count) == own.suffix(count) }) > 1 { count += 1 }
      var name = own.suffix(count)
      if name.count > 1, name.last == "adapter" { name = name.dropLast() }
      return Source(name.joined(separator: "/"), at: folder)
    }
  }
}
