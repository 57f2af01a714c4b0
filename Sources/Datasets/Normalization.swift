/// Per-channel mean and standard deviation that a backbone was trained with, for pixels in 0...1.
public struct Normalization: Sendable, Hashable, Codable {
  public var mean: [Float]
  public var std: [Float]

  /// - Throws: `NormalizationError` unless both have three finite values and no deviation is 0.
  public init(mean: [Float], std: [Float]) throws(NormalizationError) {
    guard mean.count == 3, std.count == 3, (mean + std).allSatisfy(\.isFinite), std.allSatisfy({ $0 > 0 }) else {
      throw NormalizationError(mean: mean, std: std)
    }
    self.init(unchecked: mean, std)
  }

  private init(unchecked mean: [Float], _ std: [Float]) {
    self.mean = mean
    self.std = std
  }

  /// Radford et al. 2021, the CLIP models of OpenAI and OpenCLIP.
  public static let clip = Normalization(
    unchecked: [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
  /// The statistics of ImageNet: DeiT, DINOv2 and most others.
  public static let imageNet = Normalization(unchecked: [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
  /// To -1...1: the ViTs of Google.
  public static let half = Normalization(unchecked: [0.5, 0.5, 0.5], [0.5, 0.5, 0.5])

  /// Interleaved RGB bytes to channel planes of floats: `(byte / 255 − mean) / std`.
  ///
  /// - Parameters:
  ///   - pixels: `count · 3` bytes.
  ///   - out: room for `3 · count` floats, all red first, then green, then blue.
  func write(_ pixels: UnsafeBufferPointer<UInt8>, count: Int, to out: UnsafeMutablePointer<Float>) {
    precondition(pixels.count >= count * 3, "three bytes per pixel")
    // Each byte has one value per channel: 768 divisions instead of two per pixel and channel.
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 256 * 3) { table in
      for channel in 0..<3 {
        for byte in 0..<256 {
          table[channel * 256 + byte] = (Float(byte) / 255 - mean[channel]) / std[channel]
        }
      }
      for index in 0..<count {
        out[index] = table[Int(pixels[index * 3])]
        out[count + index] = table[256 + Int(pixels[index * 3 + 1])]
        out[2 * count + index] = table[512 + Int(pixels[index * 3 + 2])]
      }
    }
  }
}

public struct NormalizationError: Error, Equatable, Sendable, CustomStringConvertible {
  public let mean: [Float]
  public let std: [Float]

  public var description: String {
    "Mean \(mean) and deviation \(std) do not normalize RGB. Give three finite values each, deviations above 0."
  }
}
