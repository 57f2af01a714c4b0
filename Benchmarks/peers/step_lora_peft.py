"""One training step of LoRA by PEFT: rank 8 on qkv, proj, fc1 and fc2 of timm's ViT-S/16 at 224 pixels."""

import peer  # before peft: it sees to it that torchvision can be imported
import peft


def main():
    options = peer.arguments(__doc__)
    backbone = peer.backbone()
    # "attn.proj", not "proj": that would also match the patch embedding's convolution.
    sites = ["qkv", "attn.proj", "fc1", "fc2"]
    model = peft.get_peft_model(backbone, peft.LoraConfig(r=8, lora_alpha=8, target_modules=sites))
    adapted = sum("lora_A" in name for name, _ in model.named_parameters())
    assert adapted == 48, adapted
    model.num_features = backbone.num_features
    peer.run("lora-peft", peer.training_step(model, options), options)


if __name__ == "__main__":
    main()
