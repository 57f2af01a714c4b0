"""What every benchmark peer shares: flags, the clock, and a line protocol by which a driver alternates processes.

    python step_peft.py --steps 10 --warmup 2 --threads 2 --json     one JSON line, then the end
    python step_peft.py --serve --warmup 2 --threads 2               a JSON line when ready, then answers

Requests on standard input, one a line: `step` answers with the seconds that one step took, `memory` with the largest
resident size so far in bytes, `quit` ends. Warm-up steps run before the ready line.
"""

import argparse
import ctypes
import json
import resource
import sys
import time

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # torchvision's wheel links CUDA: beside a CPU-only torch its operators do not load, and the import fails when it
    # describes two of them. timm uses neither.
    _declared = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        _declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import timm  # noqa: E402

IMAGE, CLASSES = 224, 7


def arguments(description, paths=(), numbers=None, **choices):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="print one JSON line instead of a sentence")
    parser.add_argument("--serve", action="store_true", help="answer requests on standard input")
    parser.add_argument("--keep-memory", action="store_true",
                        help="keep freed blocks in the process instead of returning them to the system at once")
    for flag in paths:
        parser.add_argument(f"--{flag}", required=True)
    for flag, value in (numbers or {}).items():
        parser.add_argument(f"--{flag}", type=int, default=value)
    for flag, values in choices.items():
        parser.add_argument(f"--{flag}", choices=values, default=values[0])
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    if options.keep_memory:
        keep_memory()
    return options


def keep_memory():
    """glibc maps large blocks and unmaps them when freed; each step then faults every page in again."""
    libc = ctypes.CDLL(None)
    trim_threshold, mmap_max = -1, -4
    if not hasattr(libc, "mallopt") or not (libc.mallopt(trim_threshold, 2**31 - 1) and libc.mallopt(mmap_max, 0)):
        raise SystemExit("--keep-memory needs glibc's mallopt")


def backbone():
    """timm's ViT-S/16, random weights, frozen, without a head: `[batch, 3, 224, 224]` to `[batch, 384]`."""
    model = timm.create_model("vit_small_patch16_224", num_classes=0)
    return model.requires_grad_(False).train()


def batch(options):
    return torch.randn(options.batch, 3, IMAGE, IMAGE), torch.randint(CLASSES, (options.batch,))


def training_step(model, options, extra_loss=lambda: 0.0):
    """Forward, cross-entropy, backward, Adam: on the model's trainable parameters and a linear head."""
    head = torch.nn.Linear(model.num_features, CLASSES)
    trainable = [parameter for parameter in (*model.parameters(), *head.parameters()) if parameter.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=5e-5)
    images, labels = batch(options)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(head(model(images)), labels) + extra_loss()
        loss.backward()
        optimizer.step()

    step.trainable = sum(parameter.numel() for parameter in trainable)
    return step


def timed(step):
    """Seconds of `step`; what `step.prepare` does, where there is one, does not count."""
    getattr(step, "prepare", lambda: None)()
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak_memory():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run(name, step, options):
    for _ in range(options.warmup):
        timed(step)
    about = {"peer": name, "threads": options.threads, "batch": options.batch, "keep_memory": options.keep_memory,
             "trainable": getattr(step, "trainable", 0), "torch": torch.__version__, "timm": timm.__version__}
    if options.serve:
        print(json.dumps(about | {"ready": True}), flush=True)
        for line in sys.stdin:
            request = line.strip()
            if request == "step":
                print(f"{timed(step):.6f}", flush=True)
            elif request == "memory":
                print(peak_memory(), flush=True)
            elif request == "quit":
                return
            elif request:
                print(f"unknown request {request!r}: step, memory or quit", file=sys.stderr, flush=True)
                raise SystemExit(2)
        return
    seconds = [timed(step) for _ in range(options.steps)]
    if options.json:
        print(json.dumps(about | {"seconds": [round(value, 6) for value in seconds], "peak_memory": peak_memory()}))
    elif seconds:
        middle = sorted(seconds)[len(seconds) // 2]
        print(f"{name}: median {middle:.3f} s of {len(seconds)} steps, from {min(seconds):.3f} to {max(seconds):.3f}")
