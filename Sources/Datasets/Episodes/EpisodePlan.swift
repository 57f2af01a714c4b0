/// Episodes as batches: the batch of a step is the episode of that number, first what to learn from, then what is asked
/// about.
public struct EpisodePlan: BatchPlan {
  public let sampler: EpisodeSampler

  public init(_ sampler: EpisodeSampler) { self.sampler = sampler }

  public func samples(atStep step: Int) -> [Int]? {
    let episode = sampler.episode(step)
    return episode.supportExamples + episode.queryExamples
  }
}
