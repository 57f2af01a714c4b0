/// Why a file of JSON was refused.
public struct JSONFileError: Error, Equatable, CustomStringConvertible {
  public let path: String
  public let error: JSONError

  public init(path: String, error: JSONError) {
    self.path = path
    self.error = error
  }

  public var description: String {
    "'\(path)', byte \(error.offset): \(error.problem). The file is damaged, or not the JSON it should be: copy it again."
  }
}
