import ArgumentParser

/// `graft meta`
struct MetaCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "meta",
    abstract: "Few-shot tasks: tune a network on many of them, then adapt it to new ones by a few examples.",
    discussion: """
      Meta-tuning trains on few-shot episodes drawn from data sets of images or texts. A method of sparse experts (smat) \
      keeps the network frozen, learns one offset of its weights with several sparse masks, and mixes these for each \
      task by its labelled examples.

        graft meta train --config Examples/meta.yaml
        graft meta test frozen runs/smat runs/smat@0.5 --episodes 50
        graft meta adapt --meta runs/smat --support my-classes --output runs/my-task
        graft predict runs/my-task photo.png
        graft meta inspect runs/smat --figures figures
      """,
    subcommands: [
      MetaTrainCommand.self, MetaTestCommand.self, MetaAdaptCommand.self, MetaInspectCommand.self,
      MetaStudyCommand.self,
    ])
}
