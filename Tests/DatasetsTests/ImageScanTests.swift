import Foundation
import Synchronization
import Testing

@testable import Datasets

@Suite struct ImageScanTests {
  @Test func `good images are counted and measured`() async throws {
    let folder = try ImageFolderFixture.make()
    let steps = Mutex<[Int]>([])
    let scan = try await ImageScan(of: DomainFolder(at: folder.url)) { done, total in
      steps.withLock { $0.append(done * 100 + total) }
    }
    #expect(scan.countsByDomain == [4, 4] && scan.countsByClass == [[2, 2], [2, 2]])
    #expect(scan.countsByFormat == ["JPEG": 3, "PNG": 3, "WebP": 2])
    #expect(scan.sides == 17...25 && scan.medianShorterSide == 17 && scan.totalPixels == 8 * 425)
    #expect(scan.turned == 1 && scan.badImages.isEmpty)
    #expect(steps.withLock { $0 } == [108, 208, 308, 408, 508, 608, 708, 808])
  }

  @Test func `all bad images are named in the error`() async throws {
    let folder = try ImageFolderFixture.make(adding: ImageFolderFixture.bad)
    let error = await #expect(throws: BadImagesError.self) {
      _ = try await ImageScan(of: DomainFolder(at: folder.url), depth: .pixels)
    }
    #expect(error?.images.map(\.path) == ImageFolderFixture.bad.keys.sorted())
    #expect(error?.total == 11)
    #expect(error?.description.contains("3 of 11 images cannot be used:\n  photo/cat/0-bomb.png has 100000 ×") == true)
  }

  @Test func `skipped images are listed and not counted; headers alone do not show damage behind them`() async throws {
    let files = try ImageFolderFixture.make(adding: ImageFolderFixture.bad)
    let folder = try DomainFolder(at: files.url)
    let deep = try await ImageScan(of: folder, depth: .pixels, policy: .skip)
    #expect(deep.badImages.count == 3 && deep.countsByDomain == [4, 4])
    let quick = try await ImageScan(of: folder, policy: .skip)
    let names = quick.badImages.map(\.path)
    #expect(names.contains("photo/cat/0-bomb.png") && !names.contains("sketch/dog/9-damaged.jpg"))
  }
}
