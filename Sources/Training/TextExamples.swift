import Datasets
import Formats
import Foundation
import NeuralNetworks
import Tensors
import Tokenizers

/// The texts of a folder as a model's inputs, `[count, 3, length]` of int64: token ids, token types, attention mask.
///
/// Every text is made into tokens once; 4 bytes are held for each, 8 in pairs. A batch is as long as the longest of its texts,
/// and the others are filled up behind their end. Texts of similar lengths are put together: in training by `LengthBatches`, in
/// evaluation by sorting.
public struct TextExamples: Examples {
  public let folder: TextFolder
  /// Tokens of a text, special ones included; longer texts were cut.
  public let maximumLength: Int
  /// The id that fills up.
  public let paddingToken: Int
  /// Batches are padded to a multiple of this many tokens, which some GPUs multiply faster; to `maximumLength` at most.
  public let lengthMultiple: Int
  public let labels: [Int]
  /// Tokens of each text, padding not counted.
  public let lengths: [Int]?
  public let fingerprint: String

  private let ids: [Int32]
  /// nil where all are 0.
  private let types: [Int32]?
  /// Where each text begins in `ids`, and the end of the last.
  private let starts: [Int]

  /// Makes the texts into tokens for a model.
  ///
  /// - Parameters:
  ///   - tokenizer: the model's own.
  ///   - maximumLength: nil for the most that the model takes.
  /// - Throws: `TextExamplesError`; `TokenizerError` where a text cannot be made into tokens.
  public init(
    _ folder: TextFolder, tokenizer: Tokenizer, for model: TextTransformer, maximumLength: Int? = nil,
    lengthMultiple: Int = 1
  ) throws {
    let length = maximumLength ?? model.maximumLength
    guard length <= model.maximumLength else {
      throw TextExamplesError.maximumLength(length, limit: model.maximumLength)
    }
    try self.init(
      folder, tokenizer: tokenizer, paddingToken: model.paddingToken, maximumLength: length,
      lengthMultiple: lengthMultiple)
  }

  /// - Throws: `TextExamplesError`; `TokenizerError` where a text cannot be made into tokens.
  public init(
    _ folder: TextFolder, tokenizer: Tokenizer, paddingToken: Int, maximumLength: Int, lengthMultiple: Int = 1
  ) throws {
    try self.init(
      folder, tokenizer: tokenizer.fingerprint, paddingToken: paddingToken, maximumLength: maximumLength,
      lengthMultiple: lengthMultiple
    ) { text, second in
      let encoding = try tokenizer.encode(text, second, maximumLength: maximumLength)
      return (encoding.ids, encoding.types)
    }
  }

  /// - Parameters:
  ///   - tokenizer: tells tokenizers apart.
  ///   - encode: a text's or a pair's token ids and types, at most `maximumLength`.
  init(
    _ folder: TextFolder, tokenizer: String, paddingToken: Int, maximumLength: Int, lengthMultiple: Int,
    encode: (_ text: String, _ second: String?) throws -> (ids: [Int32], types: [Int32])
  ) throws {
    guard maximumLength > 0 else { throw TextExamplesError.maximumLength(maximumLength, limit: nil) }
    guard (1...Self.largestMultiple).contains(lengthMultiple) else {
      throw TextExamplesError.lengthMultiple(lengthMultiple)
    }
    self.folder = folder
    self.maximumLength = maximumLength
    self.paddingToken = paddingToken
    self.lengthMultiple = lengthMultiple
    labels = folder.samples.map(\.label)
    var (ids, types): ([Int32], [Int32]) = ([], [])
    var starts = [0]
    starts.reserveCapacity(folder.samples.count + 1)
    for sample in folder.samples {
      let encoding = try encode(sample.text, sample.secondText)
      guard !encoding.ids.isEmpty, encoding.ids.count == encoding.types.count, encoding.ids.count <= maximumLength
      else { throw TextExamplesError.tokens(encoding.ids.count, file: sample.file, line: sample.line) }
      ids += encoding.ids
      types += encoding.types
      starts.append(ids.count)
    }
    self.ids = ids
    self.types = types.allSatisfy { $0 == 0 } ? nil : types
    self.starts = starts
    lengths = zip(starts, starts.dropFirst()).map { $1 - $0 }
    let settings = "\(tokenizer)\n\(maximumLength) \(paddingToken) \(lengthMultiple)"
    fingerprint = FileDigest.sha256(of: Data("\(folder.fingerprint)\n\(settings)".utf8))
  }

  public var classes: [String] { folder.classes }
  public var domains: [String] { folder.domains }
  public var ranges: [Range<Int>] { folder.ranges }
  public var badSamples: [BadSample] { folder.badLines }

  /// The token ids of one text; none for an index out of range.
  public func tokens(of index: Int) -> ArraySlice<Int32> { labels.indices.contains(index) ? ids[range(of: index)] : [] }

  public func batches(of plan: any BatchPlan, steps: Range<Int>, for purpose: Purpose) -> Batches {
    Batches(PlannedBatches(plan: plan, steps: steps) { try batch($0, step: $1) }) { $0 }
  }

  static let largestMultiple = 1 << 10

  private func range(of index: Int) -> Range<Int> { starts[index]..<starts[index + 1] }

  private func batch(_ indices: [Int], step: Int) throws -> Batch {
    if let missing = indices.first(where: { !labels.indices.contains($0) }) {
      throw TextExamplesError.noText(missing, count: labels.count)
    }
    let ranges = indices.map(range)
    let longest = ranges.map(\.count).max() ?? 0
    let length = min(maximumLength, (longest + lengthMultiple - 1) / lengthMultiple * lengthMultiple)
    let inputs = try TextTransformer.input(
      ids: ranges.map { ids[$0].map(Int.init) }, types: types.map { types in ranges.map { types[$0].map(Int.init) } },
      paddingToken: paddingToken, length: length)
    return Batch(step: step, indices: indices, inputs: inputs, labels: try Tensor(indices.map { Int64(labels[$0]) }))
  }
}

public enum TextExamplesError: Error, Equatable, CustomStringConvertible {
  case maximumLength(Int, limit: Int?)
  case lengthMultiple(Int)
  case tokens(Int, file: String, line: Int)
  case noText(Int, count: Int)

  public var description: String {
    switch self {
    case .maximumLength(let length, let limit):
      """
      Texts of at most \(length) tokens are not possible. Give 1 or more\(limit.map { ", and \($0) at most for this model" } ?? "").
      """
    case .lengthMultiple(let multiple):
      "Batches cannot be padded to multiples of \(multiple) tokens. Give 1 to \(TextExamples.largestMultiple)."
    case .tokens(let count, let file, let line):
      "\(file):\(line) was made into \(count) tokens. Use the tokenizer that belongs to the model."
    case .noText(let index, let count):
      "There is no text \(index): there are \(count), counted from 0."
    }
  }
}
