"""The frozen ViT-S/16 at 224 pixels: its forward alone, or with the input's gradient, the floor of any training."""

import torch

import peer


def main():
    options = peer.arguments(__doc__, mode=["forward", "input-gradient"])
    model = peer.backbone()
    images, _ = peer.batch(options)
    if options.mode == "forward":
        step = torch.no_grad()(lambda: model(images))
    else:
        images.requires_grad_()

        def step():
            images.grad = None
            model(images).sum().backward()

    peer.run(f"frozen-{options.mode}", step, options)


if __name__ == "__main__":
    main()
