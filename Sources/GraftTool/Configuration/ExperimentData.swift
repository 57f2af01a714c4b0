import Datasets
import Foundation

/// The labelled inputs of an experiment: images in folders or texts in files, whichever its network takes.
enum ExperimentData: Sendable {
  case images(DomainFolder)
  case texts(TextFolder)

  var root: URL { dataset.root }
  var domains: [String] { dataset.domains }
  var classes: [String] { dataset.classes }
  /// In samples of each domain.
  var counts: [Int] { dataset.ranges.map(\.count) }
  var count: Int { counts.reduce(0, +) }
  var ignoredFiles: [DomainFolder.IgnoredFile] {
    switch self {
    case .images(let folder): folder.ignoredFiles
    case .texts(let folder): folder.ignoredFiles
    }
  }

  /// For messages.
  var noun: String {
    switch self {
    case .images: "images"
    case .texts: "texts"
    }
  }

  private var dataset: any DomainDataset {
    switch self {
    case .images(let folder): folder
    case .texts(let folder): folder
    }
  }

  func selecting(_ domains: [String]) throws -> ExperimentData {
    switch self {
    case .images(let folder): .images(try folder.selecting(domains))
    case .texts(let folder): .texts(try folder.selecting(domains))
    }
  }

  func drawing(perClass: Int, seed: UInt64) -> ExperimentData {
    switch self {
    case .images(let folder): .images(folder.drawing(perClass: perClass, seed: seed))
    case .texts(let folder): .texts(folder.drawing(perClass: perClass, seed: seed))
    }
  }

  /// The index of a domain that is to be left out.
  ///
  /// - Throws: `DomainDatasetError` for one that is not there, and for the only one.
  func target(leavingOut domain: String) throws -> Int {
    switch self {
    case .images(let folder): try folder.leavingOut(domain).target
    case .texts(let folder): try folder.leavingOut(domain).target
    }
  }
}
