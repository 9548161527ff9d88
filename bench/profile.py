#!/usr/bin/env python3
"""bench/run profile: where the time of a step goes, by perf: decode at two depths and prefill, as a Markdown table.

A share is of the samples of all compute threads after the model is loaded, so waiting for another thread counts.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

from peers import MODEL_BENCH, MODEL_FILE, cores, machine

LOADING_MS = 1500  # not looked at; the model is there long before
PARTS = [  # the first that matches
    ("attention", r"attend|score_keys|for_queries|::fold|::finish\b|Attention|fill_tile"),
    ("activations to int8", r"quantize|round_row|set_row"),
    ("norms", r"rms_norm"),
    ("products", r"_rows<|rows_|unpacked|gemm|unpack_group|multiply|dots|Panel"),
    ("RoPE and KV store", r"rope|finish_heads|store_|to_f16|to_int8|rotate_and_store"),
    ("SiLU, GELU", r"activate_mul"),
    ("embedding, residual", r"unpack_column|unpack_quantized|load_weights|add_product|add_to"),
    ("sampling", r"sample|Sampl|softmax|argmax"),
    ("waiting for threads", r"ThreadPool|StepWorker"),
]
CASES = {  # name: options of model_bench
    "decode, depth 0": ["--prefill", "16", "--depth", "0", "--decode", "1500"],
    "decode, depth 2,048": ["--prefill", "16", "--depth", "2048", "--decode", "1000"],
    "prefill 512": ["--prefill", *["512"] * 40, "--decode", "0"],
    "prefill 2,048": ["--prefill", *["2048"] * 8, "--decode", "0"],
}


def samples(command):
    """{part: share} of what perf saw."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        subprocess.run(["perf", "record", "-q", "-F", "2000", "-D", str(LOADING_MS), "-o", data, "--", *command],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        report = subprocess.run(["perf", "report", "-i", data, "--stdio", "-F", "overhead,symbol"], check=True,
                                capture_output=True, text=True).stdout
    shares = dict.fromkeys([*dict(PARTS), "operating system", "other"], 0.0)
    for line in report.splitlines():
        found = re.match(r"\s*([\d.]+)%\s+\[(.)\]\s+(.*)", line)
        if found:
            part = next((name for name, symbols in PARTS if re.search(symbols, found[3])), "other")
            shares["operating system" if found[2] == "k" else part] += float(found[1])
    return shares


def main():
    arguments = argparse.ArgumentParser(prog="bench/run profile")
    arguments.add_argument("--model", default=MODEL_FILE, help="a GGUF file")
    arguments.add_argument("--threads", type=int, default=cores())
    chosen = arguments.parse_args()
    if shutil.which("perf") is None:
        sys.exit("bench/run profile: perf is not installed (Debian: linux-perf)")
    columns = {}
    for name, options in CASES.items():
        print(name, file=sys.stderr, flush=True)
        columns[name] = samples([MODEL_BENCH, "--model", chosen.model, "--threads", str(chosen.threads), *options])
    print(f"{machine()}; {chosen.threads} threads; {os.path.basename(chosen.model)}; shares of the threads' time\n")
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for part in columns["prefill 512"]:
        print(f"| {part} | " + " | ".join(f"{shares[part]:.1f} %" for shares in columns.values()) + " |")


if __name__ == "__main__":
    main()
