"""What the benches that measure kvasir beside llama.cpp share: the peer, built by bench/run from the same source for
everybody, rounds that alternate, and figures."""

import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from local_server import LocalServer  # noqa: E402

MODEL_FILE = os.path.join(ROOT, "models", "SmolLM2-135M-Instruct.Q4_1.gguf")
KVASIR = os.path.join(ROOT, "build", "release", "kvasir")
MODEL_BENCH = os.path.join(ROOT, "build", "release", "bench", "model_bench")
KERNELS_BENCH = os.path.join(ROOT, "build", "release", "bench", "kernels_bench")
LLAMA = os.path.join(ROOT, "build", "llama.cpp", "bin")


class LlamaServer(LocalServer):
    """llama-server; how many slots it has and what it keeps is told by its options."""

    ready_path = "/health"

    def __init__(self, options, log):
        super().__init__(os.path.join(LLAMA, "llama-server"), options, log)

    def command(self):
        return [self.binary, *self.options, "--host", "127.0.0.1", "--port", str(self.port)]


def json_objects(lines):
    return (json.loads(line) for line in lines if line.startswith("{"))


def json_lines(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return list(json_objects(done.stdout.splitlines()))


def cores():
    return len(os.sched_getaffinity(0))


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        name = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown")
    return f"{name}, {os.cpu_count()} cores"


def median(values):
    return statistics.median(values) if values else None


def quantile(values, share):
    """The value that `share` of the values are below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _processor_times():
    with open("/proc/stat", encoding="ascii") as file:
        times = [int(value) for value in file.readline().split()[1:9]]
    return sum(times), times[3] + times[4]


def others_load(seconds=0.5):
    """The share of the processors that is busy while this program sleeps."""
    before = _processor_times()
    time.sleep(seconds)
    total, idle = (now - then for now, then in zip(_processor_times(), before))
    return 1 - idle / max(total, 1)


def run_rounds(rounds, one_round):
    """Calls one_round(0), one_round(1), ...; tells on stderr how far it is, and whether the machine has other work:
    llama.cpp's threads spin while they wait for each other, so that beside other work it is many times slower."""
    begin = time.monotonic()
    for number in range(rounds):
        busy = others_load()
        note = f"; {busy:.0%} of the machine is busy with other work" if busy > 0.05 else ""
        print(f"round {number + 1} of {rounds} [{time.monotonic() - begin:.0f}s]{note}", file=sys.stderr, flush=True)
        one_round(number)


def figure(name, value, unit, peer, peer_value, ratio, goal, met):
    """One line of --json: a figure beside its peer, and whether the ratio meets the goal."""
    print(json.dumps({"figure": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value,
                      "ratio": ratio, "goal": goal, "met": met}))
