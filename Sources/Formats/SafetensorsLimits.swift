/// What the format, and we beyond it, allow in a header. The reader and the writer hold to the same limits.
public enum SafetensorsLimits {
  /// Bytes of a header, the format's own limit.
  public static let headerBytes = 100_000_000
  /// Bytes of a tensor's name.
  public static let nameBytes = 4_096
  /// Tensors in a file. A header of the largest size has room for about 1.6 million.
  public static let tensors = 1_000_000
  /// Keys of `__metadata__`.
  public static let metadataKeys = 100_000
  /// Dimensions of a tensor; libtorch's own limit.
  public static let dimensions = 64
}
