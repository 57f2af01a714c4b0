/// The programs whose adapter folders are read and written.
public enum AdapterFormat: String, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  /// This package's own: PEFT's files where PEFT has the method, and beside them what PEFT cannot say.
  case graft
  /// Hugging Face PEFT: `adapter_config.json`, `adapter_model.safetensors`.
  case peft
  /// mlx-lm: `adapter_config.json`, `adapters.safetensors`.
  case mlx
  /// AdapterHub's `adapters`: `adapter_config.json`, `adapter.safetensors`, and the same for a head.
  case adapterHub = "adapterhub"

  public var description: String {
    switch self {
    case .graft: "Graft"
    case .peft: "PEFT"
    case .mlx: "mlx-lm"
    case .adapterHub: "AdapterHub"
    }
  }
}
