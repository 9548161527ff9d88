#!/usr/bin/env python3
"""Makes tests/golden/types/types.gguf: for each tensor type random blocks, and beside them what PyPI's gguf says they
are in fp32 ("Q4_0" and "Q4_0.expected"). Run by hand, never by ./test, with gguf 0.19.0 and numpy:

    python3 tools/golden/tensor_types.py
"""

import os

import gguf
import numpy as np

# The type's name and where in a block its f16 numbers are: random bytes there would be infinities.
HALVES = {
    "BF16": [],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}
BLOCKS = 6


def random_blocks(random, name):
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    if name == "BF16":
        bits = random.standard_normal(64, dtype=np.float32).view(np.uint32) >> 16
        return bits.astype(np.uint16).view(np.uint8)
    blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for at in HALVES[name]:
        blocks[:, at : at + 2] = random.standard_normal((BLOCKS, 1)).astype(np.float16).view(np.uint8)
        blocks[0, at : at + 2] = np.array([1e-7], dtype=np.float16).view(np.uint8)  # below the normal numbers
    return blocks.reshape(-1)


def main():
    path = os.path.join(os.path.dirname(__file__), "../../tests/golden/types/types.gguf")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    writer = gguf.GGUFWriter(path, "types")
    random = np.random.default_rng(42)
    for name in HALVES:
        kind = gguf.GGMLQuantizationType[name]
        row = random_blocks(random, name)
        writer.add_tensor(name, row, raw_dtype=kind)
        writer.add_tensor(name + ".expected", gguf.quants.dequantize(row, kind).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
