import Testing

@testable import Reports

@Suite struct ProgressLineTests {
  @Test func `the shape is tqdm's`() {
    let line = ProgressLine(
      "desc", completed: 450, total: 1000, elapsed: 12.4309, metrics: [(name: "loss", value: "0.123")])
    #expect(line.text() == "desc:  45%|████▌     | 450/1000 [00:12<00:15, 36.20it/s, loss=0.123]")
  }

  @Test(arguments: [
    (0, "          "), (1, "          "), (2, "▏         "), (7, "▋         "), (10, "█         "), (99, "█████████▉"),
    (100, "██████████"),
  ])
  func `the bar grows by eighths of a cell`(completed: Int, bar: String) {
    let line = ProgressLine("", completed: completed, total: 100, elapsed: 0)
    #expect(line.text().split(separator: "|")[1] == bar)
  }

  @Test func `before the first step nothing is claimed about speed`() {
    #expect(
      ProgressLine("", completed: 0, total: 5, elapsed: 0).text() == "  0%|          | 0/5 [00:00<?, ?it/s]")
  }

  @Test func `slow steps are told in seconds each, long times with hours`() {
    let line = ProgressLine("eval", completed: 2, total: 2000, elapsed: 8)
    #expect(line.text() == "eval:   0%|          | 2/2000 [00:08<2:13:12,  4.00s/it]")
  }

  @Test func `a smoothed rate replaces the mean`() {
    let line = ProgressLine("", completed: 50, total: 100, elapsed: 50, rate: 10)
    #expect(line.text() == " 50%|█████     | 50/100 [00:50<00:05, 10.00it/s]")
  }

  @Test func `without an end there is no bar, and none past the end`() {
    #expect(ProgressLine("scan", completed: 30, total: nil, elapsed: 3).text() == "scan: 30it [00:03, 10.00it/s]")
    #expect(ProgressLine("scan", completed: 30, total: 20, elapsed: 3).text() == "scan: 30it [00:03, 10.00it/s]")
    #expect(ProgressLine("scan", completed: 0, total: 0, elapsed: 3).text() == "scan: 0it [00:03, ?it/s]")
  }

  @Test func `the bar fills the terminal, and a narrow terminal cuts the line`() {
    let line = ProgressLine("a", completed: 1, total: 2, elapsed: 1)
    #expect(line.text(columns: 50) == "a:  50%|██████      | 1/2 [00:01<00:01,  1.00it/s]")
    #expect(line.text(columns: 50).count == 50)
    #expect(line.text(columns: 12) == "a:  50%|▌| 1")
    #expect(line.text(columns: 0) == "")
    #expect(line.text(columns: .max).count < 1_100)
  }

  @Test func `plain terminals get a bar of digits`() {
    let line = ProgressLine("", completed: 45, total: 100, elapsed: 0, style: .ascii)
    #expect(line.text() == " 45%|####5     | 45/100 [00:00<?, ?it/s]")
  }

  @Test func `times that are no times are question marks`() {
    #expect([.nan, -1, 1e300, .infinity].map(ProgressLine.clock) == ["?", "?", "?", "?"])
    #expect(ProgressLine.clock(59.99) == "00:59")
    #expect(ProgressLine.clock(3600) == "1:00:00")
  }
}
