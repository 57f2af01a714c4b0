"""Writes the reference files of FormatsTests.

    pip install safetensors==0.8.0 numpy==2.4.6
    python make_fixtures.py

Made with Python 3.11.7. Seed 20260 fixes the values; running it again gives the same bytes.
"""

import ctypes
import json
import math
import pathlib
import struct

import numpy as np
from safetensors import TensorSpec, serialize

FOLDER = pathlib.Path(__file__).parent
generator = np.random.default_rng(20260)
kept = []  # serialize takes addresses


def tensor(dtype: str, size: int, shape: list[int], data: bytes | None = None) -> TensorSpec:
    count = math.prod(shape) * size
    data = generator.bytes(count) if data is None else data
    buffer = ctypes.create_string_buffer(data, max(1, count))
    kept.append(buffer)
    return TensorSpec(dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=count)


tensors = {
    "zeta.bool": tensor("bool", 1, [3], b"\x01\x00\x01"),
    "a.uint8": tensor("uint8", 1, [2, 3]),
    "b.int8": tensor("int8", 1, [1]),
    "c.int16": tensor("int16", 2, [2]),
    "d.float16": tensor("float16", 2, [4]),
    "e.bfloat16": tensor("bfloat16", 2, [3]),
    "f.int32": tensor("int32", 4, [1, 2, 1]),
    "g.float32": tensor("float32", 4, [2, 3], struct.pack("<6f", 0.5, -2, 1e-3, 3e38, -0.0, 1 / 3)),
    "h.float64": tensor("float64", 8, [2], struct.pack("<2d", math.pi, -1e-300)),
    "i.int64": tensor("int64", 8, [2], struct.pack("<2q", -(2**63), 2**62 + 1)),
    "scalar": tensor("float32", 4, [], struct.pack("<f", 42)),
    "empty": tensor("float32", 4, [0, 3]),
    "Z before a": tensor("float32", 4, [1]),
    'é "quoted" \\ / \n\x7f\x01 🦉': tensor("float32", 4, [1]),
}
# One key: the package writes several in an order that changes from run to run.
(FOLDER / "python.safetensors").write_bytes(serialize(tensors, {"format": "pt é\n"}))
(FOLDER / "python-no-metadata.safetensors").write_bytes(serialize({"x": tensor("float32", 4, [1])}))
(FOLDER / "python-nothing.safetensors").write_bytes(serialize({}))

# The bits of doubles and how Python writes them.
bits = [int(b) for b in generator.integers(0, 2**63, 300, dtype=np.uint64)]
values = [struct.unpack("<d", struct.pack("<Q", b))[0] for b in bits]
values += [float(f"{m}e{e}") for m in ("1", "-1.5", "9.999999999999999", "1.2345678") for e in range(-8, 24)]
values += [0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, 2.0**53, 2.0**54, 2.0**63, float("nan"), float("inf"), -math.inf]
lines = [f"{struct.unpack('<Q', struct.pack('<d', v))[0]:016x} {json.dumps(v)}\n" for v in values]
(FOLDER / "python-doubles.txt").write_text("".join(lines))

document = {
    "b": [1, 2.0, -1e-5, None, True, [], {}],
    "a": {"é": 'ü🦉"\\/\b\f\n\r\t\x01\x7f', "": 1e16},
    "B": 2**62,
}
(FOLDER / "python-spaced.json").write_text(json.dumps(document, sort_keys=True))
(FOLDER / "python-indented.json").write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
(FOLDER / "python-compact.json").write_text(json.dumps(document, separators=(",", ":")))
