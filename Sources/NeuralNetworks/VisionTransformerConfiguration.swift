/// The shape of a vision transformer: what its weights alone do not say, and what they do.
public struct VisionTransformerConfiguration: Hashable, Sendable {
  /// The names that the file uses.
  public var family: Family
  /// Side of a square patch, pixels.
  public var patchSize: Int
  public var width: Int
  public var depth: Int
  public var heads: Int
  /// Width of the MLP's middle.
  public var hidden: Int
  public var layerNormEpsilon: Double
  public var activation: Activation
  /// Patches along each side of the images it was trained on.
  public var grid: Int
  /// Whether the position embeddings begin with places for the class and distillation tokens.
  public var positionsCoverPrefix: Bool
  /// Whether position embeddings are low-pass filtered when they shrink: in timm, in OpenCLIP, and in
  /// Hugging Face's DINOv2 with registers.
  public var antialiasPositions: Bool
  /// How the tokens become one feature vector.
  public var pooling: Pooling

  public enum Family: String, Sendable, CaseIterable {
    case timm
    case huggingFace = "Hugging Face ViT"
    case dinov2 = "Hugging Face DINOv2"
    case clip = "Hugging Face CLIP"
    case openCLIP = "OpenCLIP"
  }

  public enum Activation: String, Sendable {
    case gelu
    case quickGELU
    case geluTanh
    case relu
  }

  public enum Pooling: String, Sendable, CaseIterable {
    /// The class token after the final LayerNorm.
    case classToken
    /// The mean of the patch tokens.
    case meanPatch
    /// Both, side by side: twice the width.
    case classAndMeanPatch
  }

  /// ViT-B/16 at 224 pixels, as timm has it: what papers count parameters on.
  public static let vitBase16 = VisionTransformerConfiguration(
    family: .timm, patchSize: 16, width: 768, depth: 12, heads: 12, hidden: 3072, layerNormEpsilon: 1e-6,
    activation: .gelu, grid: 14, positionsCoverPrefix: true, antialiasPositions: true, pooling: .classToken)

  /// Pixels along each side of the images it was trained on.
  public var imageSize: Int { grid * patchSize }
}
