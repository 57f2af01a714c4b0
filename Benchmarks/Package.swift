// swift-tools-version: 6.2
import PackageDescription

let graft: Target.Dependency = .product(name: "Graft", package: "Graft")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "Graft", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .target(name: "Peers"),
    .executableTarget(name: "StepBenchmark", dependencies: ["Contestants", "Peers", graft, arguments]),
    .target(name: "Contestants", dependencies: ["Peers", graft]),
    .executableTarget(name: "MethodsBenchmark", dependencies: ["Contestants", "Peers", graft, arguments]),
    .executableTarget(name: "TextStepBenchmark", dependencies: ["Contestants", "Peers", graft, arguments]),
    .executableTarget(name: "RecombinationBenchmark", dependencies: ["Peers", graft, arguments]),
    .executableTarget(name: "TokenizerBenchmark", dependencies: ["Peers", graft, arguments]),
    .executableTarget(name: "MixingBenchmark", dependencies: ["Peers", graft, arguments]),
    .executableTarget(name: "MetaStepBenchmark", dependencies: ["Peers", graft, arguments]),
  ],
  swiftLanguageModes: [.v6]
)
