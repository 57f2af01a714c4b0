/// One particular way to vary a training image, as drawn by `TrainingTransform`.
public struct Augmentation: Sendable, Hashable, Codable {
  /// One part of torchvision's ColorJitter.
  public enum Adjustment: Sendable, Hashable, Codable {
    case brightness(Double)
    case contrast(Double)
    case saturation(Double)
    /// In turns of the colour circle, −0.5...0.5.
    case hue(Double)
  }

  public var crop: PixelRegion
  public var flips: Bool
  /// In the order they are applied.
  public var adjustments: [Adjustment]
  public var isGrayscale: Bool

  public init(crop: PixelRegion, flips: Bool, adjustments: [Adjustment], isGrayscale: Bool) {
    self.crop = crop
    self.flips = flips
    self.adjustments = adjustments
    self.isGrayscale = isGrayscale
  }

  /// Crop, resize to `size` × `size`, flip, adjust, grey: into `square`, which holds `size · size · 3` bytes.
  func apply(to image: RGBImage, size: Int, into square: UnsafeMutableBufferPointer<UInt8>) {
    let part = crop.clamped(toWidth: image.width, height: image.height)
    Resampling.resize(image, region: part, width: size, height: size, into: square)
    if flips { ColorOperations.flipHorizontally(square, width: size) }
    for adjustment in adjustments { adjustment.apply(to: square) }
    if isGrayscale { ColorOperations.makeGrayscale(square) }
  }
}

extension Augmentation.Adjustment {
  func apply(to pixels: UnsafeMutableBufferPointer<UInt8>) {
    switch self {
    case .brightness(let factor): ColorOperations.adjustBrightness(pixels, by: Float(factor))
    case .contrast(let factor): ColorOperations.adjustContrast(pixels, by: Float(factor))
    case .saturation(let factor): ColorOperations.adjustSaturation(pixels, by: Float(factor))
    case .hue(let turns): ColorOperations.adjustHue(pixels, by: turns)
    }
  }
}
