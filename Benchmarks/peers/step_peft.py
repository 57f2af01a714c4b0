"""One training step by PEFT on qkv, proj, fc1 and fc2 of timm's ViT-S/16 at 224 pixels: `--mode` names the method."""

import peer  # before peft: it sees to it that torchvision can be imported
import peft

# "attn.proj", not "proj": that would also match the patch embedding's convolution.
SITES = ["qkv", "attn.proj", "fc1", "fc2"]


def configuration(mode):
    if mode == "lora":
        return peft.LoraConfig(r=8, lora_alpha=8, target_modules=SITES)
    if mode == "dora":
        return peft.LoraConfig(r=8, lora_alpha=8, use_dora=True, target_modules=SITES)
    if mode == "loha":
        return peft.LoHaConfig(r=8, alpha=8, target_modules=SITES)
    if mode == "lokr":
        return peft.LoKrConfig(r=8, alpha=8, target_modules=SITES)
    return peft.IA3Config(target_modules=["qkv", "fc2"], feedforward_modules=["fc2"])


def main():
    options = peer.arguments(__doc__, mode=["lora", "dora", "loha", "lokr", "ia3"])
    backbone = peer.backbone()
    model = peft.get_peft_model(backbone, configuration(options.mode))
    adapted = sum(isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer) for module in model.modules())
    expected = 24 if options.mode == "ia3" else 48
    assert adapted == expected, f"{adapted} adapted modules, not {expected}"
    model.num_features = backbone.num_features
    peer.run(f"peft-{options.mode}", peer.training_step(model, options), options)


if __name__ == "__main__":
    main()
