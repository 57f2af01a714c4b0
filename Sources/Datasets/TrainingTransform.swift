import Foundation

/// DomainBed's training transform: a random part of the image, resized, perhaps mirrored, its colours moved, normalized.
///
/// RandomResizedCrop (area 0.7–1.0, aspect 3/4–4/3), flip with probability 0.5, ColorJitter(0.3, 0.3, 0.3, hue 0.3) with
/// its four parts in random order, grey with probability 0.1. What is drawn is an `Augmentation`, apart from its
/// application: both can be inspected, and each equals torchvision on PIL images.
public struct TrainingTransform: ImageTransform, Hashable, Codable {
  public struct Settings: Sendable, Hashable, Codable {
    /// Fraction of the image's area that a crop covers, within 0...1.
    public var area = 0.7...1.0
    /// Width over height of a crop, drawn log-uniformly.
    public var aspect = 3.0 / 4.0...4.0 / 3.0
    public var flipProbability = 0.5
    /// Factors are drawn from `max(0, 1 − brightness) ... 1 + brightness`; likewise contrast and saturation.
    public var brightness = 0.3
    public var contrast = 0.3
    public var saturation = 0.3
    /// The hue turns by `−hue ... hue` of the circle; 0...0.5.
    public var hue = 0.3
    public var grayscaleProbability = 0.1

    public init() {}
  }

  /// Side of the square the model sees, in pixels.
  public let size: Int
  public let normalization: Normalization
  public let settings: Settings

  /// - Throws: `ImageTransformError` for a size or a setting out of its range.
  public init(
    size: Int, normalization: Normalization, settings: Settings = Settings()
  ) throws(ImageTransformError) {
    guard ImageTransformError.sizes.contains(size) else { throw .size(size) }
    try settings.validate()
    self.size = size
    self.normalization = normalization
    self.settings = settings
  }

  public func write(
    _ image: RGBImage, using generator: inout Xoshiro256, to out: UnsafeMutablePointer<Float>
  ) {
    write(image, applying: draw(width: image.width, height: image.height, using: &generator), to: out)
  }

  /// Draws what is to be done to an image of the given size.
  public func draw(width: Int, height: Int, using generator: inout Xoshiro256) -> Augmentation {
    let crop = drawCrop(width: width, height: height, using: &generator)
    let flips = generator.uniform() < settings.flipProbability
    var adjustments: [Augmentation.Adjustment] = []
    func factor(_ strength: Double) -> Double { generator.uniform(max(0, 1 - strength)...1 + strength) }
    // Always drawn, even at strength 0, so that changing one strength leaves the other draws as they were.
    adjustments.append(.brightness(factor(settings.brightness)))
    adjustments.append(.contrast(factor(settings.contrast)))
    adjustments.append(.saturation(factor(settings.saturation)))
    adjustments.append(.hue(generator.uniform(-settings.hue...settings.hue)))
    generator.shuffle(&adjustments)
    let grey = generator.uniform() < settings.grayscaleProbability
    return Augmentation(crop: crop, flips: flips, adjustments: adjustments, isGrayscale: grey)
  }

  /// Writes `[3, size, size]` floats of an image with one particular augmentation.
  public func write(
    _ image: RGBImage, applying augmentation: Augmentation, to out: UnsafeMutablePointer<Float>
  ) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size * size * 3) { buffer in
      let square = UnsafeMutableBufferPointer(rebasing: buffer[..<(size * size * 3)])
      augmentation.apply(to: image, size: size, into: square)
      normalization.write(UnsafeBufferPointer(square), count: size * size, to: out)
    }
  }

  /// Torchvision's `RandomResizedCrop.get_params`: ten tries, then the largest central part of an allowed aspect.
  private func drawCrop(width: Int, height: Int, using generator: inout Xoshiro256) -> PixelRegion {
    let area = Double(width) * Double(height)
    let logAspect = log(settings.aspect.lowerBound)...log(settings.aspect.upperBound)
    for _ in 0..<10 {
      let target = area * generator.uniform(settings.area)
      let aspect = exp(generator.uniform(logAspect))
      let cropWidth = Int((target * aspect).squareRoot().rounded(.toNearestOrEven))
      let cropHeight = Int((target / aspect).squareRoot().rounded(.toNearestOrEven))
      if (1...width).contains(cropWidth), (1...height).contains(cropHeight) {
        let top = generator.below(height - cropHeight + 1)
        let left = generator.below(width - cropWidth + 1)
        return PixelRegion(left: left, top: top, width: cropWidth, height: cropHeight)
      }
    }
    var (cropWidth, cropHeight) = (width, height)
    let aspect = Double(width) / Double(height)
    if aspect < settings.aspect.lowerBound {
      cropHeight = Int((Double(width) / settings.aspect.lowerBound).rounded(.toNearestOrEven))
    } else if aspect > settings.aspect.upperBound {
      cropWidth = Int((Double(height) * settings.aspect.upperBound).rounded(.toNearestOrEven))
    }
    cropWidth = min(max(1, cropWidth), width)
    cropHeight = min(max(1, cropHeight), height)
    return PixelRegion(
      left: (width - cropWidth) / 2, top: (height - cropHeight) / 2, width: cropWidth, height: cropHeight)
  }
}

extension TrainingTransform.Settings {
  fileprivate func validate() throws(ImageTransformError) {
    let checks: [(name: String, value: Double, range: ClosedRange<Double>)] = [
      ("area's lower end", area.lowerBound, 0.0...1.0),
      ("area's upper end", area.upperBound, 0.0...1.0),
      ("aspect's lower end", aspect.lowerBound, 0.01...100),
      ("aspect's upper end", aspect.upperBound, 0.01...100),
      ("flipProbability", flipProbability, 0...1),
      ("brightness", brightness, 0...10),
      ("contrast", contrast, 0...10),
      ("saturation", saturation, 0...10),
      ("hue", hue, 0...0.5),
      ("grayscaleProbability", grayscaleProbability, 0...1),
    ]
    for check in checks where !check.range.contains(check.value) {
      let allowed = "\(check.range.lowerBound) to \(check.range.upperBound)"
      throw .setting(check.name, value: check.value, allowed: allowed)
    }
  }
}
