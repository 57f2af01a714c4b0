"""Runs adapters in PEFT for the end-to-end test: `round_trip.py JOBS`, a JSON file with a list of jobs.

A job names a `backbone` folder beside this file, an `adapter` folder in PEFT's format, a folder `changed` to be made,
and `output`, a safetensors file to be written: `features` and `logits` of the backbone's reference input with the
adapter as it is, `changed.features` and `changed.logits` after every trained tensor was moved and the adapter was saved
to `changed`.

Anything that PEFT warns of in loading or running is an error.
"""

import json
import pathlib
import sys
import warnings

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # PyPI's wheel beside a CPU-only torch: its compiled operators do not load, and nothing here calls one.
    declared = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import open_clip
import timm
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
NORMS = {
    "timm": "norm", "vit": "vit.layernorm", "clip": "post_layernorm", "open-clip": "visual.ln_post",
    "bert": "bert.pooler", "minilm": "encoder.layer.1.output.LayerNorm",
    "roberta": "roberta.encoder.layer.1.output.LayerNorm",
    "distilbert": "distilbert.transformer.layer.1.output_layer_norm",
}
MODELS = {
    "vit": transformers.ViTForImageClassification, "clip": transformers.CLIPVisionModel,
    "bert": transformers.BertForSequenceClassification, "minilm": transformers.BertModel,
    "roberta": transformers.RobertaForSequenceClassification,
    "distilbert": transformers.DistilBertForSequenceClassification,
}


def backbone(name):
    folder = HERE / name
    if name == "timm":
        config = json.loads((folder / "config.json").read_text())
        model = timm.create_model(config["architecture"], **config["model_args"])
    elif name == "open-clip":
        model = open_clip.CLIP(**json.loads((folder / "open_clip_config.json").read_text())["model_cfg"])
    else:
        return MODELS[name].from_pretrained(folder).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def outputs(model, name, inputs):
    base = model.base_model.model
    found = {}

    def keep(_, inputs, output):
        found["features"] = output[:, 0] if output.ndim == 3 else output

    hook = base.get_submodule(NORMS[name]).register_forward_hook(keep)
    with torch.no_grad():
        if inputs.ndim == 3:  # texts: token ids, token types, attention mask
            result = base(inputs[:, 0], attention_mask=inputs[:, 2])
        else:
            result = base.encode_image(inputs) if name == "open-clip" else base(inputs)
    hook.remove()
    if name in ("timm", "vit", "bert"):
        found["logits"] = result if isinstance(result, torch.Tensor) else result.logits
    return {key: value.contiguous().clone() for key, value in found.items()}


def run(job):
    name = job["backbone"]
    inputs = load_file(HERE / name / "reference.safetensors")["input"]
    model = PeftModel.from_pretrained(backbone(name), job["adapter"], is_trainable=True).eval()
    found = outputs(model, name, inputs)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    with warnings.catch_warnings(action="ignore"):  # one is about the shape of `lora_bias`, which is as it should be
        model.save_pretrained(job["changed"])
    # What counts is what was saved: PEFT trains the fused bias of nn.MultiheadAttention and does not save it.
    saved = PeftModel.from_pretrained(backbone(name), job["changed"]).eval()
    found |= {f"changed.{key}": value for key, value in outputs(saved, name, inputs).items()}
    save_file(found, job["output"])


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=FutureWarning)  # between PEFT and transformers
    for message in (
        # PEFT merges and unmerges the maps of nn.MultiheadAttention in every forward pass, one of them twice.
        "Already unmerged", "All adapters are already merged",
        # PEFT's own tuner of LayerNorms has it about every LayerNorm.
        "Unsupported layer type",
    ):
        warnings.filterwarnings("ignore", message=message)
    torch.set_num_threads(1)
    problems = []
    for job in json.loads(pathlib.Path(sys.argv[1]).read_text()):
        try:
            run(job)
        except Exception as error:
            problems.append(f"{job['adapter']}: {type(error).__name__}: {str(error)[:500]}")
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
