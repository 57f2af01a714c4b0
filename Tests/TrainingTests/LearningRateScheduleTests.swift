import Testing
import Training

@Suite struct LearningRateScheduleTests {
  @Test func `a constant rate stays, after its rise`() {
    let schedule = LearningRateSchedule(.constant, warmup: 4)
    #expect((0..<6).map { schedule.factor(at: $0, of: 10) } == [0.25, 0.5, 0.75, 1, 1, 1])
  }

  @Test func `a linear rate falls from the end of the rise to the floor`() {
    let schedule = LearningRateSchedule(.linear, warmup: 2, floor: 0.5)
    #expect(schedule.factor(at: 2, of: 10) == 1)
    #expect(schedule.factor(at: 6, of: 10) == 0.75)
    #expect(schedule.factor(at: 10, of: 10) == 0.5)
    #expect(schedule.factor(at: 99, of: 10) == 0.5)
  }

  @Test func `a cosine rate is half-way down in the middle`() {
    let schedule = LearningRateSchedule(.cosine)
    #expect(schedule.factor(at: 0, of: 8) == 1)
    #expect(abs(schedule.factor(at: 2, of: 8) - 0.853_553_390_593_274) < 1e-12)
    #expect(abs(schedule.factor(at: 4, of: 8) - 0.5) < 1e-12)
    #expect(abs(schedule.factor(at: 8, of: 8)) < 1e-12)
  }

  @Test func `a rise longer than the run never divides by zero`() {
    #expect(LearningRateSchedule(.cosine, warmup: 10).factor(at: 10, of: 10) == 1)
  }
}
