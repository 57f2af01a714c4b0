"""One step of K-MoA in its paper's dense form: four Kronecker experts on qkv of the even blocks of ViT-S/16, 224 pixels.

`--mode eval` times the forward alone; the matrices are rebuilt in it too.
"""

import torch

import peer
from dense_moa import MixtureOfAdapters, SlowWeights

DIMENSION, RANKS = 64, (1, 2, 4, 8)


def main():
    options = peer.arguments(__doc__, mode=["train", "eval"])
    model = peer.backbone()
    model.slow = SlowWeights(DIMENSION)
    mixtures = []
    for block in model.blocks[::2]:
        block.attn.qkv = MixtureOfAdapters(block.attn.qkv, model.slow, RANKS, projection=256, drop_connect=0.5)
        mixtures.append(block.attn.qkv)
    if options.mode == "train":
        step = peer.training_step(model, options, lambda: 0.01 * sum(mixture.auxiliary for mixture in mixtures))
    else:
        model.eval()
        images, _ = peer.batch(options)

        @torch.no_grad()
        def step():
            model(images)

    peer.run(f"moa-dense-{options.mode}", step, options)


if __name__ == "__main__":
    main()
