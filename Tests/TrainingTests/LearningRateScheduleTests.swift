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

  @Test func `the Consolidator's published rates, epoch by epoch`() {
    let schedule = LearningRateSchedule.consolidator(learningRate: 1e-3)
    let published: [(epoch: Int, rate: Double)] = [
      (0, 1e-6), (1, 1e-6), (2, 1.009e-4), (5, 4.006e-4), (10, 9.001e-4), (11, 9.757_73e-4), (50, 5.205_483e-4),
      (51, 5.05e-4), (99, 1.097_677e-5),
    ]
    for (epoch, rate) in published {
      for step in [15 * epoch, 15 * epoch + 14] {
        #expect(abs(1e-3 * schedule.factor(at: step, of: 1_500) / rate - 1) < 1e-6, "epoch \(epoch)")
      }
    }
  }

  @Test func `a rate by epochs reaches its floor at most, and survives epochs of no step`() {
    let schedule = LearningRateSchedule(.cosineByEpoch, floor: 0.1, epoch: 0)
    #expect(schedule.factor(at: 0, of: 0) == 1)
    #expect(abs(schedule.factor(at: 99, of: 5) - 0.1) < 1e-12)
  }
}
