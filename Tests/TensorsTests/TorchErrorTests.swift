import Testing

@testable import Tensors

@Suite struct TorchErrorTests {
  @Test func `an error says what was done, to what, and why not`() {
    let error = TorchError(kind: .refused, operation: "add", operands: ["[2] float32", "[3] int64"], message: "No.")
    #expect(error.description == "add of [2] float32 and [3] int64: No.")
    #expect(TorchError(kind: .other, operation: "x", operands: [], message: "No.").description == "x: No.")
  }

  @Test func `only what may help is advised`() {
    let error = TorchError(kind: .outOfMemory, operation: "full", operands: [], message: "The memory is full.")
    #expect(
      error.description
        == "full: The memory is full. Use a smaller batch, a lower resolution or bfloat16.")
  }

  @Test func `an error put by is taken once`() {
    let token = CallbackErrors.put(DeviceError.unknown("x"))
    #expect(CallbackErrors.put(DeviceError.unknown("y")) != token)
    #expect(CallbackErrors.take(token) as? DeviceError == .unknown("x"))
    #expect(CallbackErrors.take(token) == nil)
    #expect(CallbackErrors.take(0) == nil)
  }
}
