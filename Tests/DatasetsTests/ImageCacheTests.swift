import Foundation
import Synchronization
import Testing

@testable import Datasets

@Suite struct ImageCacheTests {
  private func open(
    _ files: TemporaryFolder, _ caches: TemporaryFolder, size: Int = 10, policy: BadSamplePolicy = .error
  ) async throws -> ImageCache {
    try await ImageCache.open(for: DomainFolder(at: files.url), size: size, in: caches.url, policy: policy)
  }

  @Test func `images above 1.2 times the size are reduced, aspect kept, others stay as they are`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(), try TemporaryFolder())
    let reduced = try await open(files, caches)
    #expect(reduced.count == 8)
    // 25 × 17 to a shorter side of 12: 25 · 12 / 17 = 17.6.
    let image = try reduced.image(at: 2)
    #expect(image.width == 18 && image.height == 12)
    let original = try ImageDecoder().decode(contentsOf: Fixtures.path("images/png-rgba.png"))
    #expect(try image == original.resized(width: 18, height: 12))
    let turned = try reduced.image(at: 1)
    #expect(turned.width == 12 && turned.height == 18)
    let whole = try await open(files, caches, size: 15)
    #expect(try whole.image(at: 2) == original)
  }

  @Test func `1.2 times the size is rounded up in whole numbers`() {
    #expect([1, 5, 10, 112, 224].map(ImageCache.keptSide) == [2, 6, 12, 135, 269])
  }

  @Test func `a second opening reuses the file and gives the same images`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(), try TemporaryFolder())
    let first = try await open(files, caches)
    let second = try await open(files, caches)
    #expect(!first.wasReused && second.wasReused)
    #expect(first.file == second.file)
    for index in 0..<8 { #expect(try first.image(at: index) == second.image(at: index)) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: caches.url.path).count == 1)
  }

  @Test func `the same images make the same bytes`() async throws {
    let files = try ImageFolderFixture.make()
    let (one, two) = (try TemporaryFolder(), try TemporaryFolder())
    let first = try await open(files, one).file
    let second = try await open(files, two).file
    #expect(try Data(contentsOf: first) == Data(contentsOf: second))
  }

  @Test func `a changed, touched, added or removed image makes the cache anew`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(), try TemporaryFolder())
    let file = try await open(files, caches).file
    try files.write(Fixtures.bytes("images/jpeg-grey.jpg"), "photo/cat/1.jpg")
    let changed = try await open(files, caches)
    #expect(!changed.wasReused && changed.file == file)
    let grey = try changed.image(at: 0).pixels
    #expect(grey[0] == grey[1] && grey[1] == grey[2])
    let path = files.url.path + "/photo/dog/3.png"
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1e9)], ofItemAtPath: path)
    #expect(try await !open(files, caches).wasReused)
    try files.write(Fixtures.bytes("images/jpeg-444.jpg"), "photo/cat/9.jpg")
    #expect(try await open(files, caches).count == 9)
    #expect(try await open(files, caches).wasReused)
  }

  @Test func `another size or choice of domains has a file of its own`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(), try TemporaryFolder())
    let all = try await open(files, caches)
    let larger = try await open(files, caches, size: 14)
    let part = try DomainFolder(at: files.url).selecting(["sketch"])
    let chosen = try await ImageCache.open(for: part, size: 10, in: caches.url)
    #expect(Set([all.file, larger.file, chosen.file]).count == 3)
    #expect(try chosen.image(at: 0) == all.image(at: 4))
  }

  @Test func `damage to head, index or tail is noticed on opening, and the cache is made anew`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(), try TemporaryFolder())
    let file = try await open(files, caches).file
    let good = try Data(contentsOf: file)
    for place in [3, 20, good.count - 100, good.count - 60, good.count - 40, good.count - 20, good.count - 1] {
      var bytes = good
      bytes[place] ^= 1
      try bytes.write(to: file)
      #expect(try await !open(files, caches).wasReused, "byte \(place)")
      #expect(try Data(contentsOf: file) == good)
    }
    for length in [0, 7, 40, 103, good.count / 2, good.count - 1] {
      try good.prefix(length).write(to: file)
      #expect(try await !open(files, caches).wasReused, "cut to \(length)")
    }
  }

  @Test func `damage to pixels is an error that names the image and the remedy`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(), try TemporaryFolder())
    let file = try await open(files, caches).file
    var bytes = try Data(contentsOf: file)
    bytes[50] ^= 1
    try bytes.write(to: file)
    let cache = try await open(files, caches)
    #expect(throws: ImageCacheError.damaged(file: file.path, image: "photo/cat/1.jpg")) { try cache.image(at: 0) }
    #expect(try cache.image(at: 1).width == 12)
  }

  @Test func `bad images stop it, all named, or are skipped and listed, also when reused`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(adding: ImageFolderFixture.bad), try TemporaryFolder())
    let expected = ImageFolderFixture.bad.keys.sorted()
    let error = await #expect(throws: BadImagesError.self) { _ = try await open(files, caches) }
    #expect(error?.images.map(\.path) == expected)
    for isSecond in [false, true] {
      let cache = try await open(files, caches, policy: .skip)
      #expect(cache.badImages.map(\.path) == expected, "second: \(isSecond)")
      #expect((0..<11).filter { !cache.isUsable($0) } == [0, 9, 10])
      #expect(cache.badImages[0].reason.hasPrefix("has 100000 × 100000 pixels"))
      #expect(throws: ImageCacheError.unusable(image: "photo/cat/0-bomb.png", reason: cache.badImages[0].reason)) {
        try cache.image(at: 0)
      }
      #expect(try cache.image(at: 1).height == 12)
    }
    let repeated = await #expect(throws: BadImagesError.self) { _ = try await open(files, caches) }
    #expect(repeated == error)
  }

  @Test func `an index outside is an error`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(), try TemporaryFolder())
    let cache = try await open(files, caches)
    for index in [-1, 8, Int.max] {
      #expect(throws: ImageSourceError.noImage(index, count: 8)) { try cache.image(at: index) }
      #expect(!cache.isUsable(index))
    }
  }

  @Test func `a cache folder that cannot be made is an error that names it`() async throws {
    let files = try ImageFolderFixture.make()
    let folder = try TemporaryFolder()
    let blocked = folder.url.appending(path: "file")
    try Data([1]).write(to: blocked)
    let data = try DomainFolder(at: files.url)
    let error = await #expect(throws: (any Error).self) {
      _ = try await ImageCache.open(for: data, size: 10, in: blocked.appending(path: "inner"))
    }
    #expect("\(try #require(error))".contains(blocked.path))
  }

  @Test func `progress counts up to the end`() async throws {
    let (files, caches) = (try ImageFolderFixture.make(), try TemporaryFolder())
    let steps = Mutex<[Int]>([])
    let data = try DomainFolder(at: files.url)
    _ = try await ImageCache.open(for: data, size: 10, in: caches.url) { done, total in
      steps.withLock { $0.append(done) }
      #expect(total == 8)
    }
    #expect(steps.withLock { $0 } == Array(1...8))
  }
}
