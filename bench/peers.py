"""The peer that kvasir is measured beside: llama.cpp, built by bench/run from the same source for everybody."""

import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from local_server import LocalServer  # noqa: E402

MODEL_FILE = os.path.join(ROOT, "models", "SmolLM2-135M-Instruct.Q4_1.gguf")
KVASIR = os.path.join(ROOT, "build", "release", "kvasir")
MODEL_BENCH = os.path.join(ROOT, "build", "release", "bench", "model_bench")
LLAMA = os.path.join(ROOT, "build", "llama.cpp", "bin")


class LlamaServer(LocalServer):
    """llama-server with one slot, which keeps the last prompt's KV in RAM."""

    ready_path = "/health"

    def __init__(self, options, log):
        super().__init__(os.path.join(LLAMA, "llama-server"), options, log)

    def command(self):
        return [self.binary, *self.options, "--host", "127.0.0.1", "--port", str(self.port)]


def json_lines(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        name = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown")
    return f"{name}, {os.cpu_count()} cores"


def figure(name, value, unit, peer, peer_value, ratio, goal, met):
    """One line of --json: a figure beside its peer, and whether the ratio meets the goal."""
    print(json.dumps({"figure": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value,
                      "ratio": ratio, "goal": goal, "met": met}))
