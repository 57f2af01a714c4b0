/// The settings that the Consolidator's authors chose for a task of VTAB-1k, as their scripts have them.
///
/// Common to all: 384 groups, one branch without reordering, AdamW without decay of vectors, 100 epochs of 15 steps of 64
/// images, `LearningRateSchedule.consolidator`. The backbones are ViT-B/16: one trained with labels on ImageNet-21k (the
/// weights without augmentation or regularization), one by MoCo v3.
public struct ConsolidatorRecipe: Hashable, Sendable {
  /// The task's name in the paper's table.
  public let task: String
  public let classes: Int
  public let backbone: Pretraining
  public let learningRate: Double
  public let weightDecay: Double
  public let dropPath: Double

  public enum Pretraining: String, Hashable, Sendable, CaseIterable {
    case imageNet21k
    case mocoV3
  }

  public var configuration: Consolidator { Consolidator(groups: [384], dropPath: dropPath) }

  /// The 19 tasks on both backbones.
  public static let vtab: [ConsolidatorRecipe] = Pretraining.allCases.flatMap { backbone in
    chosen.map { task, classes, imageNet21k, mocoV3 in
      let (rate, decay, dropPath) = backbone == .imageNet21k ? imageNet21k : mocoV3
      return ConsolidatorRecipe(
        task: task, classes: classes, backbone: backbone, learningRate: rate, weightDecay: decay, dropPath: dropPath)
    }
  }

  private typealias Choice = (rate: Double, decay: Double, dropPath: Double)

  /// Learning rate, weight decay and DropPath: on ImageNet-21k, then on MoCo v3.
  private static let chosen: [(task: String, classes: Int, imageNet21k: Choice, mocoV3: Choice)] = [
    ("CIFAR-100", 100, (1e-3, 0, 0.8), (1e-3, 0.1, 0)),
    ("Caltech101", 102, (2e-3, 0.01, 0.2), (2e-3, 0.1, 0)),
    ("DTD", 47, (2e-3, 0.1, 0.8), (1e-3, 0.1, 0)),
    ("Flowers102", 102, (2e-3, 0.01, 0.8), (2e-3, 0.1, 0.8)),
    ("SVHN", 10, (0.01, 1e-3, 0.5), (0.01, 0, 0.5)),
    ("Sun397", 397, (1e-3, 1e-3, 0.8), (1e-3, 0, 0)),
    ("Pets", 37, (2e-3, 0, 0.8), (1e-3, 0.1, 0.8)),
    ("Camelyon", 2, (5e-3, 0.01, 0.2), (2e-3, 1e-4, 0.2)),
    ("EuroSAT", 10, (2e-3, 0.01, 0), (2e-3, 0, 0.8)),
    ("Resisc45", 45, (5e-3, 0.1, 0), (2e-3, 0.1, 0.8)),
    ("Retinopathy", 5, (1e-3, 0.1, 0.8), (1e-3, 0.1, 0.8)),
    ("Clevr-Count", 8, (1e-3, 1e-4, 0.2), (2e-3, 1e-3, 0.2)),
    ("Clevr-Dist", 6, (5e-4, 0.01, 0.5), (1e-3, 0.1, 0.8)),
    ("DMLab", 6, (5e-3, 0.01, 0.8), (2e-3, 0, 0.8)),
    ("KITTI-Dist", 4, (5e-3, 1e-3, 0), (1e-3, 1e-4, 0.5)),
    ("dSpr-Loc", 16, (5e-3, 0.1, 0.8), (0.01, 1e-3, 0.2)),
    ("dSpr-Ori", 16, (0.01, 1e-3, 0.8), (0.01, 1e-4, 0.8)),
    ("sNORB-Azim", 18, (0.01, 0.1, 0.8), (0.01, 1e-4, 0.2)),
    ("sNORB-Ele", 9, (5e-4, 0.1, 0.2), (1e-3, 0, 0.5)),
  ]
}
