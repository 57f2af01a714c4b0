import NeuralNetworks
import Tensors
import Testing

@Suite struct TextInputTests {
  let model: TextTransformer

  init() throws { model = try TextTransformerTests.model("bert") }

  @Test func `texts of different lengths are filled up behind their end`() throws {
    let input = try TextTransformer.input(ids: [[7, 8, 9], [5]], types: [[0, 1, 1], [0]], paddingToken: 3)
    #expect(input.dtype == .int64 && input.shape == [2, 3, 3])
    #expect(try input.integers() == [7, 8, 9, 0, 1, 1, 1, 1, 1, 5, 3, 3, 0, 0, 0, 1, 0, 0])
    let longer = try TextTransformer.input(ids: [[7]], paddingToken: 0, length: 2)
    #expect(try longer.integers() == [7, 0, 0, 0, 1, 0])
  }

  @Test func `texts that make no input are refused`() throws {
    func refusal(_ ids: [[Int]], _ types: [[Int]]? = nil, length: Int? = nil) throws -> TextInputError {
      try thrown { _ = try TextTransformer.input(ids: ids, types: types, paddingToken: 0, length: length) }
    }
    #expect(try refusal([]) == .shape([0, 3, 0], .int64))
    #expect(try refusal([[1], []]) == .empty(text: 1))
    #expect(try refusal([[1, 2, 3]], length: 2) == .length(3, maximum: 2))
    #expect(
      try refusal([[1, 2]], [[0]]).description == "Texts of [2] tokens have [1] token types. Give one for each token.")
  }

  private func refusal(_ change: (inout [Int64]) -> Void) throws -> String {
    var numbers: [Int64] = [5, 6, 7, 0, 1, 0, 1, 1, 1, 8, 9, 0, 0, 0, 0, 1, 1, 0]
    change(&numbers)
    let input = try Tensor(numbers, shape: [2, 3, 3])
    return try thrown(TextInputError.self) { _ = try model.features(input) }.description
  }

  @Test func `a token outside the vocabulary is named`() throws {
    let wanted =
      "Token 40 at place 1 of text 1 is not in the vocabulary, whose ids go from 0 to 39. "
      + "Use the tokenizer that belongs to the model."
    #expect(try refusal { $0[10] = 40 } == wanted)
    // In the padding too: it is looked up like every other.
    #expect(try refusal { $0[11] = 4_000_000_000 }.hasPrefix("Token 4000000000 at place 2 of text 1"))
    #expect(try refusal { $0[0] = -1 }.hasPrefix("Token -1 at place 0 of text 0"))
  }

  @Test func `a token type that the model does not have is named`() throws {
    #expect(try refusal { $0[4] = 2 } == "Token type 2 at place 1 of text 0 is none of the model's, 0 to 1.")
    let distilled = try TextTransformerTests.model("distilbert")
    let error = try thrown(TextInputError.self) { _ = try distilled.features(distilled.input([[5]], types: [[1]])) }
    #expect(
      error.description
        == "Token type 1 at place 0 of text 0: this model has no token types, only 0 may stand there.")
  }

  @Test func `a mask of other numbers, and a text of padding alone, are refused`() throws {
    #expect(
      try refusal { $0[17] = 3 }
        == "The attention mask has 3 at place 2 of text 1; it is 1 for a token and 0 for padding.")
    #expect(
      try refusal { ($0[15], $0[16]) = (0, 0) } == "Text 1 has no tokens: its attention mask would be all 0.")
  }

  @Test func `a text that is too long is refused, where RoBERTa counts from behind its padding token`() throws {
    #expect(model.maximumLength == 12)
    _ = try model.features(model.input([Array(repeating: 5, count: 12)]))
    let error = try thrown(TextInputError.self) {
      _ = try model.features(model.input([Array(repeating: 5, count: 13)]))
    }
    #expect(
      error.description
        == "A text of 13 tokens is longer than 12, the most that fit. Truncate it when it is made into tokens.")
    let roberta = try TextTransformerTests.model("roberta")
    #expect(roberta.maximumLength == 12 && roberta.configuration.positions == 14)
    _ = try roberta.features(roberta.input([Array(repeating: 5, count: 12)]))
    #expect(throws: TextInputError.length(13, maximum: 12)) {
      _ = try roberta.features(roberta.input([Array(repeating: 5, count: 13)]))
    }
  }

  @Test(arguments: [[2, 3], [2, 2, 4], [0, 3, 4], [1, 3, 0], [1, 3, 2, 2]])
  func `another shape is refused`(_ shape: [Int]) throws {
    let error = try thrown(TextInputError.self) { _ = try model.features(.zeros(shape, dtype: .int64)) }
    #expect(
      error.description.hasSuffix(
        "[batch, 3, length]: token ids, token types, attention mask. This is int64 of shape \(shape)."))
  }

  @Test func `pixels are refused`() throws {
    let error = try thrown(TextInputError.self) { _ = try model.features(.zeros([1, 3, 4])) }
    #expect(error == .shape([1, 3, 4], .float32))
  }
}
