// swift-tools-version: 6.2
import PackageDescription

// A package that depends on Graft, as yours would: by URL and version in place of the path. LIBTORCH says where libtorch
// is; without it, Graft looks for `.libtorch` in its own folder.
let package = Package(
  name: "Labels",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "Graft", path: "../..")],
  targets: [.executableTarget(name: "Labels", dependencies: [.product(name: "Graft", package: "Graft")])],
  swiftLanguageModes: [.v6]
)
