// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// Where libtorch is: `include/` and `lib/` are looked for there. `scripts/setup-libtorch` makes the link.
let libtorch = ProcessInfo.processInfo.environment["LIBTORCH"] ?? "\(Context.packageDirectory)/.libtorch"

let swiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
  name: "Graft",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Graft", targets: ["Graft"]),
    .library(name: "Tensors", targets: ["Tensors"]),
    .library(name: "Formats", targets: ["Formats"]),
    .library(name: "Reports", targets: ["Reports"]),
    .executable(name: "graft", targets: ["GraftTool"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .target(
      name: "CTorch",
      cxxSettings: [
        .unsafeFlags([
          "-I\(libtorch)/include", "-I\(libtorch)/include/torch/csrc/api/include", "-Wno-deprecated-declarations",
        ])
      ],
      linkerSettings: [
        .unsafeFlags(["-L\(libtorch)/lib", "-Xlinker", "-rpath", "-Xlinker", "\(libtorch)/lib"]),
        .linkedLibrary("torch_cpu"), .linkedLibrary("c10"),
      ]
    ),
    .systemLibrary(
      name: "LibJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg62-turbo-dev"]), .brew(["jpeg-turbo"])]),
    .systemLibrary(name: "LibPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"]), .brew(["libpng"])]),
    .systemLibrary(name: "LibWebP", pkgConfig: "libwebpdemux", providers: [.apt(["libwebp-dev"]), .brew(["webp"])]),
    .target(
      name: "CImageCodecs", dependencies: ["LibJPEG", "LibPNG", "LibWebP"],
      linkerSettings: [
        .linkedLibrary("jpeg"), .linkedLibrary("png"), .linkedLibrary("webp"), .linkedLibrary("webpdemux"),
      ]),
    .target(name: "Tensors", dependencies: ["CTorch"], swiftSettings: swiftSettings),
    .target(name: "Formats", dependencies: [crypto], swiftSettings: swiftSettings),
    .target(name: "Tokenizers", dependencies: ["Formats"], swiftSettings: swiftSettings),
    .target(name: "Reports", dependencies: ["Formats", crypto], swiftSettings: swiftSettings),
    .target(name: "Datasets", dependencies: ["CImageCodecs", "Formats", crypto], swiftSettings: swiftSettings),
    .target(name: "NeuralNetworks", dependencies: ["Tensors", "Formats", crypto], swiftSettings: swiftSettings),
    .target(name: "Adapters", dependencies: ["NeuralNetworks", "Tensors", "Formats"], swiftSettings: swiftSettings),
    .target(
      name: "Mixing", dependencies: ["Adapters", "NeuralNetworks", "Tensors", "Formats", "Reports"],
      swiftSettings: swiftSettings),
    .target(
      name: "Training",
      dependencies: [
        "Adapters", "NeuralNetworks", "Tensors", "Formats", "Datasets", "Tokenizers", "Reports", logging,
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "MetaTuning",
      dependencies: ["Training", "Adapters", "NeuralNetworks", "Tensors", "Formats", "Datasets", "Reports"],
      swiftSettings: swiftSettings),
    .target(
      name: "Studies",
      dependencies: [
        "MetaTuning", "Training", "Mixing", "Adapters", "NeuralNetworks", "Tensors", "Formats", "Datasets",
        "Tokenizers", "Reports",
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "Graft",
      dependencies: [
        "Tensors", "Formats", "Tokenizers", "NeuralNetworks", "Adapters", "Mixing", "Datasets", "Training",
        "MetaTuning", "Studies", "Reports",
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "GraftTool",
      dependencies: [
        "Graft", "Yams", logging, .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings),

    .testTarget(name: "TensorsTests", dependencies: ["Tensors"], swiftSettings: swiftSettings),
    .testTarget(
      name: "FormatsTests", dependencies: ["Formats"], resources: [.copy("Fixtures")], swiftSettings: swiftSettings),
    .testTarget(name: "ReportsTests", dependencies: ["Reports", "Formats"], swiftSettings: swiftSettings),
    .testTarget(
      name: "DatasetsTests", dependencies: ["Datasets"], resources: [.copy("Fixtures")], swiftSettings: swiftSettings),
    .testTarget(
      name: "NeuralNetworksTests", dependencies: ["NeuralNetworks", "Tensors", "Formats"],
      resources: [.copy("Fixtures")],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "AdaptersTests", dependencies: ["Adapters", "NeuralNetworks", "Tensors", "Formats"],
      resources: [.copy("Fixtures")], swiftSettings: swiftSettings),
    .testTarget(
      name: "TokenizersTests", dependencies: ["Tokenizers", "Formats"], resources: [.copy("Fixtures")],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "MixingTests", dependencies: ["Mixing", "Adapters", "NeuralNetworks", "Tensors", "Formats", "Reports"],
      resources: [.copy("Fixtures")], swiftSettings: swiftSettings),
    .testTarget(
      name: "TrainingTests",
      dependencies: [
        "Training", "Adapters", "NeuralNetworks", "Tensors", "Formats", "Datasets", "Tokenizers", "Reports",
      ],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "MetaTuningTests",
      dependencies: [
        "MetaTuning", "Training", "Adapters", "NeuralNetworks", "Tensors", "Formats", "Datasets", "Reports",
      ],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "StudiesTests",
      dependencies: [
        "Studies", "MetaTuning", "Training", "Mixing", "Adapters", "NeuralNetworks", "Tensors", "Formats", "Datasets",
        "Tokenizers",
        "Reports",
      ],
      swiftSettings: swiftSettings),
    .testTarget(name: "GraftTests", dependencies: ["Graft", logging], swiftSettings: swiftSettings),
    .testTarget(
      name: "GraftToolTests",
      dependencies: ["GraftTool", "Graft", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: swiftSettings),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx20
)
