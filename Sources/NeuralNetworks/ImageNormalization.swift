/// What is subtracted from each colour channel of a pixel in 0 ... 1, and what it is then divided by.
public struct ImageNormalization: Hashable, Sendable, Codable {
  public var mean: [Float]
  public var deviation: [Float]

  public init(mean: [Float], deviation: [Float]) {
    self.mean = mean
    self.deviation = deviation
  }

  public static let imageNet = ImageNormalization(mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225])
  public static let clip = ImageNormalization(
    mean: [0.48145466, 0.4578275, 0.40821073], deviation: [0.26862954, 0.26130258, 0.27577711])
}
