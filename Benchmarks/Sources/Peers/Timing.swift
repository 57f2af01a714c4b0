/// Seconds that `body` takes.
public func timed(_ body: () throws -> Void) rethrows -> Double {
  let start = ContinuousClock.now
  try body()
  let elapsed = ContinuousClock.now - start
  return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
}

/// The middle one, or the upper of the two; `values` has at least one.
public func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
