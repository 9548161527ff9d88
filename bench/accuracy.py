#!/usr/bin/env python3
"""bench/run accuracy: how far the CPU backend is from the reference backend, with KV in f16 and in int8, and beside
llama.cpp on the same file."""

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


def mean_of(figures, engine, what):
    positions = sum(f["positions"] for f in figures)
    return sum(f[engine][what] * f["positions"] for f in figures) / positions


def print_figures(figures):
    f16, int8, peer = (mean_of(figures, engine, "kl") for engine in ("kvasir", "kvasir_int8", "peer"))
    figure("mean KL from reference", f16, "nats", "llama.cpp", peer, f16 / peer, f"<= {GOAL}", f16 / peer <= GOAL)
    figure("mean KL from reference, int8 KV", int8, "nats", "f16 KV", f16, int8 / f16, None, None)
    f16, int8 = (mean_of(figures, engine, "nll") for engine in ("kvasir", "kvasir_int8"))
    figure("mean NLL, int8 KV", int8, "nats", "f16 KV", f16, int8 / f16, None, None)


def print_table(rows, figures):
    print(f"{machine()}; same file; KL: mean KL(reference || engine); NLL: mean of the prompts' ids; in nats")
    print(f"{'row':<16} {'positions':>9} {'f16 KV':>10} {'int8 KV':>10} {'llama.cpp':>10} {'ratio':>6}   "
          f"{'NLL: truth':>10} {'f16 KV':>8} {'int8 KV':>8}")

    def line(name, positions, kl, nll):
        print(f"{name:<16} {positions:>9} {kl['kvasir']:>10.6f} {kl['kvasir_int8']:>10.6f} {kl['peer']:>10.6f} "
              f"{kl['kvasir'] / kl['peer']:>6.2f}   {nll['reference']:>10.5f} {nll['kvasir']:>8.5f} "
              f"{nll['kvasir_int8']:>8.5f}")

    engines = ("reference", "kvasir", "kvasir_int8", "peer")
    for row, f in zip(rows, figures):
        line(row["name"], f["positions"], *({e: f[e][what] for e in engines} for what in ("kl", "nll")))
    line("all", sum(f["positions"] for f in figures),
         *({e: mean_of(figures, e, what) for e in engines} for what in ("kl", "nll")))
    print(f"ratio: f16 KV to llama.cpp (goal <= {GOAL})")


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
    if chosen.json:
        print_figures(figures)
    else:
        print_table(rows, figures)


if __name__ == "__main__":
    main()
