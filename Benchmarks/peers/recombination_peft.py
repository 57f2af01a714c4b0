"""LoRAs of one linear map recombined to their common rank by PEFT's `add_weighted_adapter(…, combination_type="svd")`.

Reads `loras.safetensors` in `--folder`: `weights`, and `NAME.lora_A`, `NAME.lora_B` of each. Before it serves, it leaves the
recombined change of the weight there as `--answer`.
"""

import pathlib

import peer  # before peft: it sees to it that torchvision can be imported
import peft
import torch
from safetensors.torch import load_file, save_file


def main():
    options = peer.arguments(__doc__, paths=("folder", "answer"), matrices=("full", "thin"))
    folder = pathlib.Path(options.folder)
    tensors = load_file(folder / "loras.safetensors")
    weights = tensors.pop("weights").tolist()
    names = sorted({name.split(".")[0] for name in tensors})
    down, up = tensors[f"{names[0]}.lora_A"], tensors[f"{names[0]}.lora_B"]
    rank = down.shape[0]

    base = torch.nn.Sequential(torch.nn.Linear(down.shape[1], up.shape[0]))
    configuration = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["0"])
    model = peft.get_peft_model(base, configuration, adapter_name=names[0])
    for name in names[1:]:
        model.add_adapter(name, configuration)
    layer = model.base_model.model[0]
    with torch.no_grad():
        for name in names:
            layer.lora_A[name].weight.copy_(tensors[f"{name}.lora_A"])
            layer.lora_B[name].weight.copy_(tensors[f"{name}.lora_B"])

    def step():
        model.add_weighted_adapter(
            names, weights, "mix", combination_type="svd", svd_rank=rank, svd_full_matrices=options.matrices == "full")

    def prepare():
        if "mix" in model.peft_config:
            model.delete_adapter("mix")

    step.prepare = prepare
    step()
    save_file({"delta": layer.get_delta_weight("mix").detach().contiguous()}, folder / options.answer)
    peer.run("recombination-peft", step, options)


if __name__ == "__main__":
    main()
