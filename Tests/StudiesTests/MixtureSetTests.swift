import Studies
import Testing

@Suite struct MixtureSetTests {
  @Test func `a set knows its members`() {
    let set = MixtureSet([4, 0, 2])
    #expect(set.members == [0, 2, 4])
    #expect(set.count == 3)
    #expect(set.contains(2) && !set.contains(1) && !set.contains(40))
    #expect(set.bits == 0b10101)
  }

  @Test func `all mixtures come in Gray code order, each once`() {
    #expect(MixtureSets.all.sets(of: 3).map(\.bits) == [0b001, 0b011, 0b010, 0b110, 0b111, 0b101, 0b100])
    let sets = MixtureSets.all.sets(of: 8)
    #expect(Set(sets).count == 255)
    #expect(zip(sets, sets.dropFirst()).allSatisfy { ($0.bits ^ $1.bits).nonzeroBitCount == 1 })
  }

  @Test func `a sample has all small sets, some of each larger size, and that of all domains`() {
    let sets = MixtureSets.sampled(upTo: 2, count: 5, seed: 1).sets(of: 6)
    let counts = Dictionary(grouping: sets, by: \.count).mapValues(\.count)
    #expect(counts == [1: 6, 2: 15, 3: 5, 4: 5, 5: 5, 6: 1])
    #expect(sets == MixtureSets.sampled(upTo: 2, count: 5, seed: 1).sets(of: 6))
    #expect(sets != MixtureSets.sampled(upTo: 2, count: 5, seed: 2).sets(of: 6))
    #expect(MixtureSets.sampled(upTo: 2, count: 0, seed: 0).sets(of: 4).last { $0.count > 2 }?.count == 4)
  }
}
