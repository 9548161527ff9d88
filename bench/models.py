"""The models that benches beside llama.cpp need besides the default one; each is made once, into build/bench-models."""

import os
import subprocess
import sys

from peers import LLAMA, MODEL_FILE, ROOT
from random_model import make_random_model

FOLDER = os.path.join(ROOT, "build", "bench-models")
REQUANTIZED = ["Q4_0", "Q8_0", "Q4_K_M", "BF16"]  # of the default model, by llama-quantize
RANDOM = ["random-Q4_K", "random-Q6_K"]  # of a shape that K-quants fit: the default model's width does not
TYPES = ["Q4_1", *REQUANTIZED, *RANDOM]


def _requantize(kind, path):
    partial = path + ".partial"
    done = subprocess.run([os.path.join(LLAMA, "llama-quantize"), "--allow-requantize", MODEL_FILE, partial, kind],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"llama-quantize ended with {done.returncode}:\n{done.stderr[-2000:]}")
    os.replace(partial, path)


def model_file(kind):
    """The file of one of TYPES."""
    if kind == "Q4_1":
        return MODEL_FILE
    os.makedirs(FOLDER, exist_ok=True)
    path = os.path.join(FOLDER, f"{kind}.gguf")
    if kind in RANDOM:
        make_random_model(path, kind.removeprefix("random-"), MODEL_FILE)
    elif not os.path.exists(path):
        _requantize(kind, path)
    return path
