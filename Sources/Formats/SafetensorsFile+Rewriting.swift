import Foundation

extension SafetensorsFile {
  /// Writes the file again with other elements in some of its tensors. Names, types, shapes, layout and metadata stay as they
  /// are byte for byte, and so does every tensor that is not replaced; the file appears complete or not at all.
  ///
  /// - Parameter replaced: for each name, what gives the tensor's new bytes, as many as it has now.
  /// - Throws: `SafetensorsError` for a tensor that the file does not have, or for too few or too many bytes; `FileError`; what
  ///   a provider throws.
  public func write(to url: URL, replacing replaced: [String: SafetensorsWriter.Provider]) throws {
    for name in replaced.keys.sorted() { _ = try info(of: name) }
    try AtomicFile.write(to: url) { output in
      try withExtendedLifetime(self) {
        let data = tensors.first?.byteRange.lowerBound ?? file.bytes.count
        try output.append(UnsafeRawBufferPointer(rebasing: file.bytes[..<data]))
        for tensor in tensors {
          guard let provider = replaced[tensor.name] else {
            try output.append(bytes(of: tensor.name))
            continue
          }
          func refuse(_ given: Int) -> SafetensorsError {
            SafetensorsError(
              .bytesDiffer(expected: tensor.byteCount, given: given), file: url.path, tensor: tensor.name)
          }
          var given = 0
          try provider { bytes in
            given += bytes.count
            guard given <= tensor.byteCount else { throw refuse(given) }
            try output.append(bytes)
          }
          guard given == tensor.byteCount else { throw refuse(given) }
        }
      }
    }
  }
}
