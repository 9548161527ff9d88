#!/usr/bin/env python3
"""bench/run cpu: prefill and decode of kvasir's CPU backend beside llama-bench; same file, same threads, in turn."""

import argparse
import os
import statistics
import sys

from peers import LLAMA, MODEL_BENCH, MODEL_FILE, figure, json_lines, machine

TESTS = ["prefill 512", "prefill 2048", "decode 128"]
GOAL = 0.8  # of the peer, at least


def kvasir_round(threads):
    rows = json_lines([MODEL_BENCH, "--model", MODEL_FILE, "--threads", str(threads), "--prefill", "512", "2048",
                       "--decode", "128"])
    return {f"{row['test']} {row['tokens']}": row["tokens_per_second"] for row in rows}


def llama_round(threads):
    rows = json_lines([os.path.join(LLAMA, "llama-bench"), "-m", MODEL_FILE, "-t", str(threads), "-p", "512,2048",
                       "-n", "128", "-r", "1", "-o", "jsonl"])
    names = [f"prefill {row['n_prompt']}" if row["n_prompt"] else f"decode {row['n_gen']}" for row in rows]
    return {name: row["avg_ts"] for name, row in zip(names, rows)}


def main():
    arguments = argparse.ArgumentParser(prog="bench/run cpu")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", action="store_true", help="a line per figure instead of a table")
    chosen = arguments.parse_args()
    rounds = {"kvasir": [], "llama.cpp": []}
    for number in range(chosen.rounds):
        print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr, flush=True)
        rounds["kvasir"].append(kvasir_round(chosen.threads))
        rounds["llama.cpp"].append(llama_round(chosen.threads))
    median = {who: {test: statistics.median(r[test] for r in runs) for test in TESTS} for who, runs in rounds.items()}
    ratio = {test: median["kvasir"][test] / median["llama.cpp"][test] for test in TESTS}
    if chosen.json:
        for test in TESTS:
            figure(test, median["kvasir"][test], "tokens/s", "llama-bench", median["llama.cpp"][test], ratio[test],
                   f">= {GOAL}", ratio[test] >= GOAL)
        return
    print(f"{machine()}; {chosen.threads} threads; medians of {chosen.rounds} interleaved rounds, tokens/s")
    print(f"{'test':<14} {'kvasir':>9} {'llama.cpp':>10} {'ratio':>6}")
    for test in TESTS:
        print(f"{test:<14} {median['kvasir'][test]:>9.1f} {median['llama.cpp'][test]:>10.1f} {ratio[test]:>6.2f}")


if __name__ == "__main__":
    main()
