#!/usr/bin/env python3
"""bench/run start: time until a server is ready, and the memory that it then holds, kvasir and llama-server in turn.

The model's file is in the page cache. Memory is measured again after a long prompt, with the KV that it left.
"""

import argparse
import os
import time

from peers import KVASIR, MODEL_FILE, LlamaServer, cores, figure, machine, median, run_rounds
from servers import FOLDER
from local_server import LocalServer, long_text

READY_SECONDS = 2.0
POOL_BYTES = 256 << 20
FIXED_BYTES = 150_000_000
PROMPT_WORDS = 1200
PIECE_BYTES = 16 << 20
WHO = ["kvasir", "llama-server"]


def warm(path):
    with open(path, "rb") as file:
        while file.read(PIECE_BYTES):
            pass


def kvasir_server(chosen, number):
    config = os.path.join(FOLDER.name, "config.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"cache: {{tiers: {{host: {{capacity: {POOL_BYTES >> 20}MiB}}}}}}\n")
    cache = os.path.join(FOLDER.name, f"cache-{number}")
    os.mkdir(cache)
    return LocalServer(KVASIR, ["--config", config, "--model", chosen.model, "--cache-dir", cache,
                                "--threads", chosen.threads], os.path.join(FOLDER.name, "kvasir.log"))


def llama_server(chosen):
    return LlamaServer(["-m", chosen.model, "-c", 4096, "-np", 1, "-fa", "on", "--threads", chosen.threads],
                       os.path.join(FOLDER.name, "llama.log"))


def measure(server):
    """Seconds until ready, bytes resident then, at most until then, and after a prompt."""
    try:
        server.poll_seconds = 0.002
        begin = time.perf_counter()
        server.start()
        seconds = time.perf_counter() - begin
        resident, peak = server.resident_bytes(), server.resident_bytes("VmHWM")
        server.post("/v1/completions", {"model": server.model(), "prompt": long_text(PROMPT_WORDS), "max_tokens": 4})
        return {"ready": seconds, "resident": resident, "peak": peak, "after a prompt": server.resident_bytes()}
    finally:
        if server.is_running():
            server.kill()


def figures(medians, file_bytes):
    limit = 1.4 * file_bytes + FIXED_BYTES
    ours, peers = medians["kvasir"], medians["llama-server"]
    yield "time to ready", ours["ready"], "s", peers["ready"], f"<= {READY_SECONDS:g} s", READY_SECONDS
    for name, pool in (("resident", 0), ("peak", 0), ("after a prompt", POOL_BYTES)):
        goal = f"<= 1.4 x file{' + pool' if pool else ''} + 150 MB = {(limit + pool) / 1e6:.0f} MB"
        label = name if name == "resident" else f"resident, {name}"
        yield label, ours[name] / 1e6, "MB", peers[name] / 1e6, goal, (limit + pool) / 1e6


def main():
    arguments = argparse.ArgumentParser(prog="bench/run start")
    arguments.add_argument("--model", default=MODEL_FILE, help="a GGUF file")
    arguments.add_argument("--threads", type=int, default=cores())
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", action="store_true", help="a line per figure instead of a table")
    chosen = arguments.parse_args()
    warm(chosen.model)
    results = {who: [] for who in WHO}

    def one_round(number):
        results["kvasir"].append(measure(kvasir_server(chosen, number)))
        results["llama-server"].append(measure(llama_server(chosen)))

    run_rounds(chosen.rounds, one_round)
    medians = {who: {name: median([one[name] for one in rows]) for name in rows[0]} for who, rows in results.items()}
    file_bytes = os.path.getsize(chosen.model)
    rows = list(figures(medians, file_bytes))
    if chosen.json:
        for name, value, unit, peer, goal, limit in rows:
            figure(name, value, unit, "llama-server", peer, value / peer, goal, value <= limit)
        return
    print(f"{machine()}; {chosen.threads} threads; {os.path.basename(chosen.model)}, {file_bytes / 1e6:.0f} MB, in the "
          f"page cache; medians of {chosen.rounds} interleaved rounds")
    print(f"{'':<28} {'kvasir':>10} {'llama-server':>14}   goal")
    for name, value, unit, peer, goal, limit in rows:
        digits = 3 if unit == "s" else 0
        print(f"{name + ', ' + unit:<28} {value:>10.{digits}f} {peer:>14.{digits}f}   {goal}"
              f"{'' if value <= limit else ': missed'}")


if __name__ == "__main__":
    main()
