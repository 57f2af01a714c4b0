/// A file that was taken for safetensors and is recognizably something else.
public enum Lookalike: Equatable, Sendable {
  /// `torch.save`, and any other zip archive.
  case zip
  /// `torch.save` before 1.6, and `pickle` itself.
  case pickle
  /// What Git leaves in place of a large file that was not downloaded.
  case gitLFSPointer
  /// A page that a server sent instead of the file: a log-in, or an error.
  case webPage
  case gguf
  case hdf5

  init?(_ bytes: UnsafeRawBufferPointer) {
    func starts(with text: String) -> Bool { bytes.starts(with: text.utf8) }
    if starts(with: "PK\u{03}\u{04}") {
      self = .zip
    } else if bytes.count >= 2, bytes[0] == 0x80, (2...5).contains(bytes[1]) {
      self = .pickle
    } else if starts(with: "version https://git-lfs.github.com/spec/") {
      self = .gitLFSPointer
    } else if starts(with: "<!DOCTYPE") || starts(with: "<!doctype") || starts(with: "<html") {
      self = .webPage
    } else if starts(with: "GGUF") {
      self = .gguf
    } else if bytes.starts(with: [0x89, 0x48, 0x44, 0x46]) {
      self = .hdf5
    } else {
      return nil
    }
  }

  var explanation: String {
    switch self {
    case .zip, .pickle:
      """
      this is not safetensors but \(self == .zip ? "a zip archive, as `torch.save` writes" : "a Python pickle"), \
      which can run code when it is loaded. Ask for the .safetensors file of the model, or convert it in Python: \
      safetensors.torch.save_file(torch.load(path, weights_only=True), "model.safetensors")
      """
    case .gitLFSPointer:
      "this is a Git LFS pointer, not the file itself. Run `git lfs pull` in its folder, or download the file again"
    case .webPage:
      "this is a web page, not the file. The download was answered by a log-in or an error: download it again"
    case .gguf:
      "this is a GGUF file. Ask for the .safetensors file of the model"
    case .hdf5:
      "this is an HDF5 file. Ask for the .safetensors file of the model"
    }
  }
}
