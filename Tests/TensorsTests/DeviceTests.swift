import Tensors
import Testing

@Suite struct DeviceTests {
  @Test(arguments: [("cpu", Device.cpu), ("mps", .mps), ("cuda", .cuda(0)), ("cuda:0", .cuda), ("cuda:12", .cuda(12))])
  func `names are read`(text: String, device: Device) throws {
    #expect(try Device(text) == device)
    #expect(try Device(device.description) == device)
  }

  @Test(arguments: ["", "gpu", "CPU", "cpu:0", "mps:0", "cuda:", "cuda:x", "cuda:-1", "cuda:128", "cuda:1:2", ":"])
  func `another name is refused whole`(text: String) {
    let error = #expect(throws: DeviceError.unknown(text)) { try Device(text) }
    #expect(error?.description == "'\(text)' names no device. Write cpu, cuda, cuda:INDEX or mps.")
  }

  @Test func `the processor is always there`() throws {
    #expect(Device.cpu.isAvailable)
    try Device.cpu.synchronize()
    #expect(try Tensor.ones([2]).to(.cpu).floats() == [1, 1])
  }

  // The last of the indices there may be, and some that must not wrap around to a device there is.
  @Test(arguments: [127, 128, 256, 1 << 32, .max, -1])
  func `an absent device is a clear error wherever it is named`(index: Int) throws {
    let device = Device.cuda(index)
    #expect(device.isAvailable == false)
    let generator = try Generator(seed: 1)
    let attempts: [() throws -> Void] = [
      { try device.checkAvailable() },
      { try device.synchronize() },
      { _ = try Tensor.zeros([2], device: device) },
      { _ = try Tensor.ones([2]).to(device) },
      { _ = try Tensor.normal([2], device: device, from: generator) },
    ]
    for attempt in attempts { #expect(throws: DeviceError.absent(device)) { try attempt() } }
    #expect(
      DeviceError.absent(.cuda(1)).description == """
        The device cuda:1 is not available: no driver answered, the index is too high, or this libtorch was built \
        without CUDA. Use cpu, or point LIBTORCH at a CUDA build of the same version.
        """)
  }

  #if !os(macOS)
    @Test func `there is no mps but on a Mac`() {
      #expect(throws: DeviceError.absent(.mps)) { try Tensor.zeros([1]).to(.mps) }
      #expect(DeviceError.absent(.mps).description.contains("needs a Mac with Apple silicon. Use cpu."))
    }
  #endif

  @Test func `a device there is computes what the processor does`() throws {
    for device in [Device.cuda, .mps] where device.isAvailable {
      let x = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]).to(device)
      #expect(x.device == device)
      #expect(x.summary == "[2, 2] float32 \(device)")
      try expectClose(x.matmul(x), [7, 10, 15, 22])
      try device.synchronize()
      let draws = try Tensor.uniform([8], device: device, from: Generator(seed: 1))
      #expect(try draws.to(.cpu).isEqual(to: Tensor.uniform([8], from: Generator(seed: 1))))
    }
  }
}
