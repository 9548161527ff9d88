#!/usr/bin/env python3
"""bench/run server: time to the first token of a long prompt: cold, repeated, and repeated after a restart.

Each round uses another prompt, on kvasir and llama-server in turn. After a restart llama-server has nothing to reuse.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

from peers import KVASIR, MODEL_FILE, LlamaServer, LocalServer, figure, machine
from local_server import cached_by_tier, long_text

PROMPT_WORDS = 1480
FLUSHED_SECONDS = 1.5
CASES = ["cold", "repeated", "restarted"]
OF_COLD = {"repeated": 0.03, "restarted": 0.08}  # at most, of our own cold


def ask(server, model, seed):
    body = {"model": model, "max_tokens": 4, "temperature": 0, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": long_text(PROMPT_WORDS, seed) + " What is this about?"}]}
    reply = server.stream("/v1/chat/completions", body)
    if reply.status != 200 or reply.first_token_seconds is None:
        sys.exit(f"bench/run server: {server.binary} answered {reply.status}: {reply.events}")
    return reply


def one_round(server, seed, round_of):
    """Three requests over a restart; the server keeps whatever it keeps on the disk between rounds."""
    server.start()
    model = server.model()
    ask(server, model, seed=10_000 + seed)  # warms code and file caches with another prompt
    replies = [ask(server, model, seed), ask(server, model, seed)]
    time.sleep(FLUSHED_SECONDS)
    server.stop()
    server.start()
    ask(server, model, seed=20_000 + seed)
    replies.append(ask(server, model, seed))
    server.stop()
    for case, reply in zip(CASES, replies):
        round_of[case].append({"ttft": reply.first_token_seconds, "prompt": reply.usage["prompt_tokens"],
                               "tiers": cached_by_tier(reply.headers)})


def main():
    arguments = argparse.ArgumentParser(prog="bench/run server")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", action="store_true", help="a line per figure instead of a table")
    chosen = arguments.parse_args()
    results = {who: {case: [] for case in CASES} for who in ("kvasir", "llama.cpp")}
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as folder:
        threads = ["--threads", chosen.threads]
        servers = {
            "kvasir": LocalServer(KVASIR, ["--model", MODEL_FILE, "--cache-dir", f"{folder}/cache", *threads],
                                  os.path.join(folder, "kvasir.log")),
            "llama.cpp": LlamaServer(["-m", MODEL_FILE, "-c", 4096, "-np", 1, *threads],
                                     os.path.join(folder, "llama.log"))}
        for number in range(chosen.rounds):
            print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr, flush=True)
            for who, server in servers.items():
                try:
                    one_round(server, number, results[who])
                finally:
                    if server.is_running():
                        server.kill()
    medians = {who: {case: statistics.median(one["ttft"] for one in cases[case]) for case in CASES}
               for who, cases in results.items()}
    if chosen.json:
        for case in CASES:
            ours, peers = medians["kvasir"][case], medians["llama.cpp"][case]
            figure(f"TTFT {case}", ours, "s", "llama-server", peers, ours / peers, "<= 1", ours <= peers)
        for case, goal in OF_COLD.items():
            ours, cold = medians["kvasir"][case], medians["kvasir"]["cold"]
            figure(f"TTFT {case} of cold", ours, "s", "kvasir cold", cold, ours / cold, f"<= {goal}",
                   ours / cold <= goal)
        return
    prompt = results["kvasir"]["cold"][0]["prompt"]
    print(f"{machine()}; {chosen.threads} threads; a prompt of {prompt} tokens; "
          f"medians of {chosen.rounds} interleaved rounds")
    print(f"{'TTFT':<11} {'kvasir':>11} {'of cold':>8} {'llama.cpp':>11} {'of cold':>8}   kvasir's tokens")
    for case in CASES:
        cells = [f"{m[case] * 1000:>8.1f} ms {m[case] / m['cold']:>8.1%}" for m in medians.values()]
        print(f"{case:<11} {' '.join(cells)}   {results['kvasir'][case][-1]['tiers']}")


if __name__ == "__main__":
    main()
