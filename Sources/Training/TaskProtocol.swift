/// How the many tasks of VTAB-1k are trained and measured: 800 images to train on, 200 to validate with, a test set.
public enum TaskProtocol: String, Sendable, Hashable, Codable, CaseIterable {
  /// The learning rate is chosen on 800/200 by the validation accuracy of the last step; then the method is trained anew on all 1,000
  /// images, once for each seed, and the last step's accuracy on the test set counts. The test set decides nothing.
  case validation
  /// Trained on all 1,000 images and tested at intervals; the best test accuracy seen counts, and the learning rate is the one with
  /// the best test accuracy of the first seed. That is how published code often has it (Consolidator's and NOAH's for one), and it selects on the test set: its numbers
  /// are too high, and no one could have reached them without the test labels.
  case paper

  /// For titles of tables.
  public var note: String {
    switch self {
    case .validation: "last step, learning rate selected on validation"
    case .paper: "best step and learning rate selected on the TEST set, as published"
    }
  }
}
