import Foundation
import Testing

@testable import Datasets

@Suite struct CSVReaderTests {
  private func records(_ text: String, limit: Int = 1000) throws -> [CSVReader.Record] {
    let folder = try TemporaryFolder()
    var reader = try CSVReader(URL(fileURLWithPath: folder.write(Array(text.utf8), "a.csv")), limit: limit)
    var records: [CSVReader.Record] = []
    while let record = try reader.next() { records.append(record) }
    return records
  }

  private func fields(_ text: String) throws -> [[String]] {
    try records(text).map { record in
      #expect(record.problem == nil)
      return record.fields.map { String(decoding: $0, as: UTF8.self) }
    }
  }

  @Test(arguments: [
    // The rules of RFC 4180, section 2, in its order.
    ("aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n", [["aaa", "bbb", "ccc"], ["zzz", "yyy", "xxx"]]),
    ("aaa,bbb,ccc\r\nzzz,yyy,xxx", [["aaa", "bbb", "ccc"], ["zzz", "yyy", "xxx"]]),
    ("a, b ,\n", [["a", " b ", ""]]),
    (#""aaa","bbb","ccc""# + "\r\nzzz,yyy,xxx", [["aaa", "bbb", "ccc"], ["zzz", "yyy", "xxx"]]),
    ("\"aaa\",\"b\r\nbb\",\"c,c\nc\"\r\nzzz,yyy,xxx", [["aaa", "b\r\nbb", "c,c\nc"], ["zzz", "yyy", "xxx"]]),
    (#""aaa","b""bb","""""#, [["aaa", "b\"bb", "\""]]),
    (",\n\"\",\"\"\n", [["", ""], ["", ""]]),
    ("\u{FEFF}\"a\",b\n\n\nc,d\n", [["a", "b"], ["c", "d"]]),
    ("é,日本\n", [["é", "日本"]]),
  ])
  func `fields are as RFC 4180 has them`(text: String, expected: [[String]]) throws {
    #expect(try fields(text) == expected)
  }

  @Test func `a record is named by the line it starts in, and its damage does not reach the next`() throws {
    let text = "a,\"x\ny\"\nb\"c,d\n\"e\"f,g\nh,i\n"
    let read = try records(text)
    #expect(read.map(\.line) == [1, 3, 4, 5])
    #expect(
      read.map(\.problem) == [
        nil, "has a quotation mark inside a field that does not begin with one",
        "has more after the quotation mark that ends a field", nil,
      ])
    #expect(read[3].fields == [Array("h".utf8), Array("i".utf8)])
  }

  @Test func `a quotation mark that is never closed takes the rest, and says where it stands`() throws {
    let read = try records("a,b\nc,\"d\ne,f\n")
    #expect(read.count == 2 && read[1].line == 2)
    #expect(read[1].problem == "opens a quotation mark that is never closed: the rest of the file is lost in it")
    let later = try records("a,\"b\nc\",\"d\ne\n")
    #expect(
      later.first?.problem
        == "opens a quotation mark in line 2 that is never closed: the rest of the file is lost in it")
  }

  @Test func `a record beyond the limit is passed over to its end`() throws {
    let read = try records("a,b\n\"\(String(repeating: "x\n", count: 40))\",c\nd,e\n", limit: 20)
    #expect(read.map(\.problem) == [nil, "is longer than 20 bytes", nil])
    #expect(read.map(\.line) == [1, 2, 43] && read[2].fields.count == 2)
  }
}
