import Formats

/// The images of Meta-Dataset's files of records, decoded every time they are asked for.
///
/// An image is the `image` of a `tf.Example`, a JPEG or PNG file; its `label` must be the number of the file's class.
/// What is kept in memory is where each record lies.
public struct RecordImages: ImageSource {
  /// One class's file.
  struct File: Sendable {
    let records: TFRecordFile
    let label: Int
  }

  private let files: [File]
  /// For each image its file and its place there.
  private let places: [(file: Int, record: Int)]
  private let decoder: ImageDecoder

  /// The images of the files, one after the other.
  init(_ files: [File], decoder: ImageDecoder) {
    self.files = files
    self.decoder = decoder
    places = files.indices.flatMap { file in
      files[file].records.records.indices.map { (file, $0) }
    }
  }

  public var count: Int { places.count }

  /// - Throws: `TFRecordError`, `MetaDatasetError` and `ImageError`, each with the file and the record's offset;
  ///   `FileError`.
  public func image(at index: Int) throws -> RGBImage {
    guard places.indices.contains(index) else { throw ImageSourceError.noImage(index, count: count) }
    let file = files[places[index].file]
    let path = file.records.path
    let record = file.records.records[places[index].record]
    let data = try file.records.data(of: record)
    let example: TFExample
    do throws(TFExampleError) {
      example = try TFExample(parsing: data)
    } catch {
      throw TFRecordError.notAnExample(path: path, offset: record.offset + error.offset, problem: error.problem)
    }
    func found(_ name: String) -> MetaDatasetError {
      let found =
        switch example.features[name] {
        case nil: "nothing"
        case .bytes(let values): "\(values.count) byte strings"
        case .floats(let values): "\(values.count) floats"
        case .integers(let values): "\(values.count) integers"
        }
      return .feature(name, file: path, offset: record.offset, found: found)
    }
    guard case .integers(let labels) = example.features["label"], labels.count == 1 else { throw found("label") }
    guard labels[0] == Int64(file.label) else {
      throw MetaDatasetError.wrongLabel(file: path, offset: record.offset, expected: file.label, found: labels[0])
    }
    guard case .bytes(let images) = example.features["image"], images.count == 1 else { throw found("image") }
    return try decoder.decode(images[0], named: "\(path), record at byte \(record.offset)")
  }
}
