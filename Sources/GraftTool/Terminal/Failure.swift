import ArgumentParser
import Foundation
import Reports

/// How an error ends the program: what it says on standard error, and the exit code.
enum Failure {
  static func exit(with error: any Error) -> Never {
    switch error {
    case let stopped as Interruption.Stopped:
      Console.complain("stopped by \(stopped.name)", as: .note)
      Foundation.exit(stopped.exitCode)
    case let error as ConfigurationError:
      Console.complain("\(error)", as: .error)
      Foundation.exit(ExitCode.validationFailure.rawValue)
    case is CancellationError:
      Console.complain("stopped", as: .note)
      Foundation.exit(1)
    default:
      // Help, the version, wrong flags: the argument parser knows what to say. Its own errors have no public type, so
      // ours are told apart by describing themselves.
      let code = GraftTool.exitCode(for: error)
      if code == .success || code == .validationFailure || error is ExitCode { GraftTool.exit(withError: error) }
      Console.complain("\(error)", as: .error)
      Foundation.exit(1)
    }
  }
}
