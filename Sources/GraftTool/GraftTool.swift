import ArgumentParser
import Foundation

/// The tool `graft`.
///
/// | exit code | means |
/// |---|---|
/// | 0 | done |
/// | 1 | it could not be done; the message says why |
/// | 64 | the command line or the configuration file is not right |
/// | 130, 143 | stopped by Ctrl-C or SIGTERM, with a checkpoint to go on from |
@main
struct GraftTool: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "graft",
    abstract: "Adapts large pretrained transformers with adapters and mixtures of adapters.",
    discussion: """
      An adapter is a small trainable change of a frozen network. graft trains adapters on folders of images, \
      mixes several of them with a router, and measures what they are for: accuracy on domains never seen in training.

      Images lie in domain/class/image folders. Weights are a folder with model.safetensors and, where there is one, \
      config.json. Both can be given as a path or as the name of something that scripts/fetch has fetched: \
      --model vit-s14 --data emoji-styles.

      Results go to standard output, progress and messages to standard error. Exit codes: 0 done, 1 failed, 64 wrong \
      usage, 130 and 143 stopped by a signal after writing a checkpoint.

      environment:
        GRAFT_CACHE   where fetched models and data and decoded images are (default: graft in the user's cache folder)
        NO_COLOR, TERM, COLUMNS, CI   are respected
      """,
    version: "0.1.0",
    subcommands: [
      TrainCommand.self, EvaluateCommand.self, BenchmarkCommand.self, TasksCommand.self, StudyCommand.self,
      PredictCommand.self, InspectCommand.self, ChooseCommand.self, PruneCommand.self, MixCommand.self,
      MergeCommand.self, ConvertCommand.self, MetaCommand.self, MethodsCommand.self,
    ])

  static func main() async {
    do {
      var command = try parseAsRoot()
      if let work = command as? any Command {
        try await Interruption.stoppable { try await work.run() }
      } else {
        try command.run()
      }
    } catch {
      Failure.exit(with: error)
    }
  }
}

/// A subcommand that signals can stop.
protocol Command: AsyncParsableCommand, Sendable {
  func run() async throws
}
