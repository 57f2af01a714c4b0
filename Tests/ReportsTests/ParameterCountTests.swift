import Testing

@testable import Reports

@Suite struct ParameterCountTests {
  @Test func `the line is the one that scripts look for`() {
    #expect(
      ParameterCount(trainable: 1024, total: 38880).description
        == "trainable params: 1,024 || all params: 38,880 || trainable%: 2.6337")
    #expect(
      ParameterCount(trainable: 1_485_830, total: 87_285_254).description
        == "trainable params: 1,485,830 || all params: 87,285,254 || trainable%: 1.7023")
    #expect(
      ParameterCount(trainable: 0, total: 0).description
        == "trainable params: 0 || all params: 0 || trainable%: 0.0000")
  }

  @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (100_000, "100,000"), (-1234, "-1,234")])
  func `thousands are separated`(number: Int, text: String) {
    #expect(ParameterCount.grouped(number) == text)
  }
}
