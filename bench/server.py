#!/usr/bin/env python3
"""bench/run server: time to the first token of a long prompt beside llama-server: cold, repeated, with new tokens at
its end, and repeated after a restart.

Each round uses another prompt, on both servers in turn. After a restart llama-server has nothing to reuse.
"""

import argparse
import sys
import time

from peers import figure, machine, median, run_rounds
from servers import add_common, kvasir_server, llama_server
from local_server import cached_by_tier, long_text

PROMPT_WORDS, NEW_WORDS = 1480, 45  # some 1,650 tokens, and 56
FLUSHED_SECONDS = 1.5
REPEATS = 5  # of what takes milliseconds, in a round: their median is the round's
CASES = ["cold", "repeated", "new end", "restarted"]
OF_COLD = {"repeated": 0.03, "restarted": 0.08}  # at most, of our own cold
SECONDS = {"repeated": 0.010, "new end": 0.090}  # at most; or so much of the peer's:
OF_PEER = {"new end": 1 / 3}


def ask(server, model, seed, end=""):
    body = {"model": model, "max_tokens": 4, "temperature": 0, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": long_text(PROMPT_WORDS, seed) + " What is this about?" + end}]}
    reply = server.stream("/v1/chat/completions", body)
    if reply.status != 200 or reply.first_token_seconds is None:
        sys.exit(f"bench/run server: {server.binary} answered {reply.status}: {reply.events}")
    return reply


def one_round(server, seed, round_of):
    """Requests over a restart; the server keeps whatever it keeps on the disk between rounds."""
    server.start()
    model = server.model()
    ask(server, model, seed=10_000 + seed)  # warms code and file caches with another prompt
    replies = {"cold": [ask(server, model, seed)], "repeated": [ask(server, model, seed) for _ in range(REPEATS)]}
    replies["new end"] = [ask(server, model, seed, " " + long_text(NEW_WORDS, 1000 * seed + i + 1))
                          for i in range(REPEATS)]
    time.sleep(FLUSHED_SECONDS)
    server.stop()
    server.start()
    ask(server, model, seed=20_000 + seed)
    replies["restarted"] = [ask(server, model, seed)]
    server.stop()
    for case, several in replies.items():
        round_of[case].append({"ttft": median([one.first_token_seconds for one in several]),
                               "prompt": several[-1].usage["prompt_tokens"],
                               "tiers": cached_by_tier(several[-1].headers)})


def verdicts(medians):
    """(case, what, the ratio, goal, met)"""
    ours, peers = medians["kvasir"], medians["llama.cpp"]
    for case, most in OF_COLD.items():
        ratio = ours[case] / ours["cold"]
        yield case, "kvasir cold", ours["cold"], ratio, f"<= {most} x", ratio <= most
    for case, most in SECONDS.items():
        ratio, share = ours[case] / peers[case], OF_PEER.get(case, 0)
        goal = f"<= {most} s" + (f" or <= {share:.2f} x" if share else "")
        yield case, "llama-server", peers[case], ratio, goal, ours[case] <= most or ratio <= share


def print_figures(medians):
    for case in CASES:
        ours, peers = medians["kvasir"][case], medians["llama.cpp"][case]
        figure(f"TTFT {case}", ours, "s", "llama-server", peers, ours / peers, "<= 1 x", ours <= peers)
    for case, peer, peer_value, ratio, goal, met in verdicts(medians):
        figure(f"TTFT {case}", medians["kvasir"][case], "s", peer, peer_value, ratio, goal, met)


def print_table(chosen, results, medians):
    tokens = {case: results["kvasir"][case][0]["prompt"] for case in CASES}
    print(f"{machine()}; {chosen.threads} threads; a prompt of {tokens['cold']} tokens, with a new end "
          f"{tokens['new end']}; kvasir {chosen.type}, llama-server {chosen.llama_type}; medians of {chosen.rounds} "
          "interleaved rounds")
    print(f"{'TTFT':<11} {'kvasir':>11} {'of cold':>8} {'llama.cpp':>11} {'of cold':>8}   kvasir's tokens")
    for case in CASES:
        cells = [f"{m[case] * 1000:>8.1f} ms {m[case] / m['cold']:>8.1%}" for m in medians.values()]
        print(f"{case:<11} {' '.join(cells)}   {results['kvasir'][case][-1]['tiers']}")
    for case, peer, _, ratio, goal, met in verdicts(medians):
        print(f"{case}: {medians['kvasir'][case] * 1000:.1f} ms, {ratio:.3f} x {peer}; goal {goal}: "
              f"{'met' if met else 'MISSED'}")


def parse():
    arguments = argparse.ArgumentParser(prog="bench/run server")
    add_common(arguments)
    return arguments.parse_args()


def main():
    chosen = parse()
    servers = {"kvasir": kvasir_server(chosen), "llama.cpp": llama_server(chosen, ["-c", 4096, "-np", 1])}
    results = {who: {case: [] for case in CASES} for who in servers}

    def in_turn(number):
        for who, server in servers.items():
            try:
                one_round(server, number, results[who])
            finally:
                if server.is_running():
                    server.kill()

    run_rounds(chosen.rounds, in_turn)
    medians = {who: {case: median([one["ttft"] for one in cases[case]]) for case in CASES}
               for who, cases in results.items()}
    if chosen.json:
        print_figures(medians)
    else:
        print_table(chosen, results, medians)


if __name__ == "__main__":
    main()
