import CTorch

/// Where a tensor lives.
public enum Device: Sendable, Hashable {
  case cpu
  case cuda(Int)
  case mps

  public static let cuda = Device.cuda(0)

  /// Reads `cpu`, `cuda`, `cuda:1` or `mps`.
  ///
  /// - Throws: `DeviceError.unknown` for any other text.
  public init(_ text: String) throws(DeviceError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    switch (parts.first, parts.count) {
    case ("cpu", 1): self = .cpu
    case ("mps", 1): self = .mps
    case ("cuda", 1): self = .cuda(0)
    case ("cuda", 2):
      guard let index = Int(parts[1]), (0..<128).contains(index) else { throw .unknown(text) }
      self = .cuda(index)
    default: throw .unknown(text)
    }
  }

  /// Whether this process can use the device now. Looking for CUDA loads its libraries.
  public var isAvailable: Bool { ct_device_available(kind, Int32(clamping: index)) }

  /// - Throws: `DeviceError.absent` where the device, or the build of libtorch that drives it, is missing.
  public func checkAvailable() throws(DeviceError) {
    guard isAvailable else { throw .absent(self) }
  }

  /// Waits until everything queued on the device is done. Returns at once on the CPU.
  ///
  /// - Throws: `DeviceError.absent` where there is no such device.
  public func synchronize() throws {
    try checkAvailable()
    let (kind, index) = (kind, Int32(clamping: index))
    try Torch.call("synchronize") { ct_synchronize(kind, index, $0) }
  }

  var kind: CTDeviceKind {
    switch self {
    case .cpu: CT_CPU
    case .cuda: CT_CUDA
    case .mps: CT_MPS
    }
  }

  var index: Int { if case .cuda(let index) = self { index } else { 0 } }
}

extension Device: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cpu: "cpu"
    case .mps: "mps"
    case .cuda(let index): "cuda:\(index)"
    }
  }
}

public enum DeviceError: Error, Equatable, CustomStringConvertible {
  case unknown(String)
  case absent(Device)

  public var description: String {
    switch self {
    case .unknown(let text): "'\(text)' names no device. Write cpu, cuda, cuda:INDEX or mps."
    case .absent(.mps): "The device mps is not available: it needs a Mac with Apple silicon. Use cpu."
    case .absent(let device):
      """
      The device \(device) is not available: no driver answered, the index is too high, or this libtorch was built \
      without CUDA. Use cpu, or point LIBTORCH at a CUDA build of the same version.
      """
    }
  }
}
