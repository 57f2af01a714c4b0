/// What turns a decoded image into a model's input.
public protocol ImageTransform: Sendable {
  /// Side of the square the model sees, in pixels.
  var size: Int { get }

  /// Writes `[3, size, size]` normalized floats, drawing whatever is random from `generator`.
  func write(_ image: RGBImage, using generator: inout Xoshiro256, to out: UnsafeMutablePointer<Float>)
}

extension ImageTransform {
  /// Floats that `write` needs room for.
  public var elementCount: Int { 3 * size * size }

  /// The transformed image as an array in the order `[3, size, size]`.
  public func callAsFunction(_ image: RGBImage, using generator: inout Xoshiro256) -> [Float] {
    [Float](unsafeUninitializedCapacity: elementCount) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      write(image, using: &generator, to: base)
      count = elementCount
    }
  }
}

public enum ImageTransformError: Error, Equatable, Sendable, CustomStringConvertible {
  case size(Int)
  case setting(String, value: Double, allowed: String)

  static let sizes = 1...8192

  public var description: String {
    switch self {
    case .size(let size):
      "An image size of \(size) is not possible. Give \(Self.sizes.lowerBound) to \(Self.sizes.upperBound) pixels."
    case .setting(let name, let value, let allowed):
      "\(name) cannot be \(value). Give \(allowed)."
    }
  }
}
