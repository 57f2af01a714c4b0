"""LoRAs of several linear maps mixed to one by PEFT's `add_weighted_adapter`.

Reads `loras.safetensors` in `--folder`: `weights`, and `MEMBER/SITE.lora_A`, `MEMBER/SITE.lora_B`. Before it serves, it leaves
the changes that it makes of the first few maps there as `KIND.safetensors`.
"""

import pathlib

import peer  # before peft: it sees to it that torchvision can be imported
import peft
import torch
from safetensors.torch import load_file, save_file

COMPARED = 4


def main():
    options = peer.arguments(__doc__, paths=("folder",), kind=("ties", "svd", "ties_svd"))
    folder = pathlib.Path(options.folder)
    tensors = load_file(folder / "loras.safetensors")
    weights = tensors.pop("weights").tolist()
    members = sorted({name.split("/")[0] for name in tensors}, key=lambda name: int(name[1:]))
    sites = list(dict.fromkeys(name.split("/")[1].rsplit(".", 1)[0] for name in tensors))
    down = {site: tensors[f"{members[0]}/{site}.lora_A"] for site in sites}
    up = {site: tensors[f"{members[0]}/{site}.lora_B"] for site in sites}
    rank = down[sites[0]].shape[0]

    base = torch.nn.Sequential(*[torch.nn.Linear(down[site].shape[1], up[site].shape[0]) for site in sites])
    configuration = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=[str(index) for index in range(len(sites))])
    model = peft.get_peft_model(base, configuration, adapter_name=members[0])
    for name in members[1:]:
        model.add_adapter(name, configuration)
    layers = [model.base_model.model[index] for index in range(len(sites))]
    with torch.no_grad():
        for name in members:
            for site, layer in zip(sites, layers):
                layer.lora_A[name].weight.copy_(tensors[f"{name}/{site}.lora_A"])
                layer.lora_B[name].weight.copy_(tensors[f"{name}/{site}.lora_B"])
    tensors.clear()

    def step():
        model.add_weighted_adapter(
            members, weights, "mix", combination_type=options.kind, svd_rank=rank, density=0.25)

    def prepare():
        if "mix" in model.peft_config:
            model.delete_adapter("mix")

    step.prepare = prepare
    step()
    save_file({site: layer.get_delta_weight("mix").detach().contiguous()
               for site, layer in list(zip(sites, layers))[:COMPARED]}, folder / f"{options.kind}.safetensors")
    options.warmup = 0
    peer.run("mixing-peft", step, options)


if __name__ == "__main__":
    main()
