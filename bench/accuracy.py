#!/usr/bin/env python3
"""bench/run accuracy: how far the CPU backend is from the reference backend, beside llama.cpp on the same file."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

from peers import LLAMA, MODEL_FILE, ROOT, figure, machine

TRUTH = os.environ.get("KVASIR_SHARED_DATA", os.path.join(os.path.dirname(ROOT), "shared", "data"))
ROWS = os.path.join(TRUTH, "logits", "smollm2_q4_1_public.jsonl")
GOAL = 1.1


def run(command, lines):
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout.splitlines()


def measure(rows, folder):
    files = [os.path.join(folder, f"{i}.f32") for i in range(len(rows))]
    ids = [row["prompt_ids"] for row in rows]
    run([os.path.join(LLAMA, "llama_logits"), MODEL_FILE],
        [" ".join([file, *map(str, prompt)]) for file, prompt in zip(files, ids)])
    lines = run([os.path.join(ROOT, "build", "release", "bench", "divergence_bench"), "--model", MODEL_FILE],
                [json.dumps({"ids": prompt, "peer_logits": file}) for file, prompt in zip(files, ids)])
    return [json.loads(line) for line in lines]


def main():
    arguments = argparse.ArgumentParser(prog="bench/run accuracy")
    arguments.add_argument("--json", action="store_true", help="a line per figure instead of a table")
    chosen = arguments.parse_args()
    if not os.path.exists(ROWS):
        sys.exit(f"bench/run accuracy measures on data that is not in the project, and {ROWS} is not there")
    with open(ROWS, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(rows, folder)
    positions = sum(f["positions"] for f in figures)
    ours, peers = (sum(f[who] * f["positions"] for f in figures) / positions for who in ("kvasir", "peer"))
    if chosen.json:
        figure("mean KL from reference", ours, "nats", "llama.cpp", peers, ours / peers, f"<= {GOAL}",
               ours / peers <= GOAL)
        return
    print(f"{machine()}; mean KL(reference || engine) in nats, same file")
    print(f"{'row':<16} {'positions':>9} {'kvasir':>10} {'llama.cpp':>10} {'ratio':>6}")
    for row, f in zip(rows, figures):
        ratio = f["kvasir"] / f["peer"]
        print(f"{row['name']:<16} {f['positions']:>9} {f['kvasir']:>10.6f} {f['peer']:>10.6f} {ratio:>6.2f}")
    print(f"{'all':<16} {positions:>9} {ours:>10.6f} {peers:>10.6f} {ours / peers:>6.2f}  (goal <= {GOAL})")


if __name__ == "__main__":
    main()
