/// What the classes of a data set are for: few-shot methods are tested on classes that training never saw.
public enum ClassSplit: String, Sendable, Hashable, Codable, CaseIterable {
  case training, validation, test
}
