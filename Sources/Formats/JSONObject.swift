/// The members of a JSON object, in the order in which they were written.
///
/// Two keys are the same when their code points are (RFC 8259, section 8.3): `é` composed and decomposed are two, as
/// vocabularies of tokenizers have them, though Swift calls the strings equal.
public struct JSONObject: Equatable, Sendable {
  public private(set) var members: [(key: String, value: JSONValue)] = []
  /// Built once there are too many members to look through.
  private var places: [CodePoints: Int] = [:]

  private static let searchedOneByOne = 8

  public init() {}

  public var keys: [String] { members.map(\.key) }
  public var count: Int { members.count }
  public var isEmpty: Bool { members.isEmpty }

  /// The value under a key. Setting keeps the place of a key that is there; nil removes it.
  public subscript(key: String) -> JSONValue? {
    get { place(of: key).map { members[$0].value } }
    set {
      switch (place(of: key), newValue) {
      case (let place?, let value?): members[place].value = value
      case (nil, let value?): append(value, under: key)
      case (let place?, nil):
        members.remove(at: place)
        index()
      case (nil, nil): break
      }
    }
  }

  /// Whether the key was new; a key that is there keeps its value.
  @discardableResult
  mutating func insert(_ value: JSONValue, under key: String) -> Bool {
    guard place(of: key) == nil else { return false }
    append(value, under: key)
    return true
  }

  private func place(of key: String) -> Int? {
    members.count > Self.searchedOneByOne
      ? places[CodePoints(text: key)] : members.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
  }

  private mutating func append(_ value: JSONValue, under key: String) {
    members.append((key, value))
    if members.count == Self.searchedOneByOne + 1 {
      index()
    } else if members.count > Self.searchedOneByOne {
      places[CodePoints(text: key)] = members.count - 1
    }
  }

  private mutating func index() {
    places.removeAll()
    guard members.count > Self.searchedOneByOne else { return }
    for (place, member) in members.enumerated() { places[CodePoints(text: member.key)] = place }
  }

  private struct CodePoints: Hashable, Sendable {
    let text: String

    static func == (left: CodePoints, right: CodePoints) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
      var text = text
      text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
  }

  /// The order of the members does not matter, as in JSON.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    for (key, value) in elements { self[key] = value }
  }
}
