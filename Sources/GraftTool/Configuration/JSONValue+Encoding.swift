import Formats
import Foundation

extension JSONValue {
  /// A value by its own coding.
  init(of value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    try self.init(parsing: encoder.encode(value))
  }
}
