#!/usr/bin/env python3
"""bench/run clients: eight clients that ask about one long text at the same time, over HTTP, beside llama-server.

Cold: nobody has asked about the text yet. Warm: they ask other questions about it after that. Both servers get the same
token ids and answer with exactly as many tokens.
"""

import argparse

from load import Load, completion, computed_tokens, first_token_quantiles, time_per_output_token, token_ids
from peers import figure, machine, median, run_rounds
from servers import add_common, kvasir_server, llama_server, running

CASES = ["cold", "warm"]
GOALS = {("cold", "rate"): 5, ("warm", "rate"): 5, ("warm", "ttft_p50"): 0.1}
UNITS = {"rate": "output tokens/s", "ttft_p50": "s", "ttft_p99": "s", "tpot": "s", "computed": "tokens"}


class Side:
    """A server that stays up over the rounds, and what was measured with it."""

    def __init__(self, server):
        self.load = Load(server)
        self.load.all([completion(token_ids(64, 999), 8)])
        self.results = {case: {name: [] for name in UNITS} for case in CASES}

    def ask(self, case, prompts, output):
        replies, seconds = self.load.all([completion(ids, output) for ids in prompts])
        p50, p99 = first_token_quantiles(replies)
        measured = {"rate": sum(reply.usage["completion_tokens"] for reply in replies) / seconds, "ttft_p50": p50,
                    "ttft_p99": p99, "tpot": median([time_per_output_token(reply) for reply in replies]),
                    "computed": sum(computed_tokens(reply) for reply in replies)}
        for name, value in measured.items():
            self.results[case][name].append(value)

    def median(self, case, name):
        return median(self.results[case][name])


def llama_settings(chosen):
    """llama-server where each client has a slot of its own: with a cache a slot, and with one for all."""
    need = chosen.prefix + chosen.question + chosen.output + 64
    common = ["-np", chosen.clients, "-c", chosen.clients * need]
    return {"a KV cache a slot": [*common, "--no-kv-unified"], "unified KV": [*common, "--kv-unified"]}


def one_round(chosen, sides, number):
    text = token_ids(chosen.prefix, 1000 + number)
    for side in sides.values():
        for at, case in enumerate(CASES):
            seeds = range(100_000 + 1000 * number + 100 * at, 100_000 + 1000 * number + 100 * at + chosen.clients)
            side.ask(case, [text + token_ids(chosen.question, seed) for seed in seeds], chosen.output)


def best_peer(sides, case):
    return max((side.median(case, "rate"), name) for name, side in sides.items() if name != "kvasir")[1]


def verdict(case, name, ratio):
    goal = GOALS.get((case, name))
    if goal is None:
        return None, None
    return (f">= {goal}", ratio >= goal) if name == "rate" else (f"<= {goal}", ratio <= goal)


def print_figures(chosen, sides):
    for case in CASES:
        peer = best_peer(sides, case)
        for name, unit in UNITS.items():
            if name == "computed":
                continue  # below, beside what is new
            ours, theirs = sides["kvasir"].median(case, name), sides[peer].median(case, name)
            goal, met = verdict(case, name, ours / theirs)
            figure(f"{chosen.clients} clients {case}, {name}", ours, unit, f"llama-server {chosen.llama_type}, {peer}",
                   theirs, ours / theirs, goal, met)
        once = needed(chosen, case)
        computed = sides["kvasir"].median(case, "computed")
        figure(f"{chosen.clients} clients {case}, prompt tokens computed", computed, "tokens", "new tokens", once,
               computed / once, "<= 1.02", computed <= 1.02 * once)


def needed(chosen, case):
    return chosen.clients * chosen.question + (chosen.prefix if case == "cold" else 0)


def print_table(chosen, sides):
    print(f"{machine()}; {chosen.threads} threads; {chosen.clients} clients at once on one text of {chosen.prefix} "
          f"tokens, questions of {chosen.question}, answers of {chosen.output}; kvasir {chosen.type}, llama-server "
          f"{chosen.llama_type}; medians of {chosen.rounds} interleaved rounds")
    for case in CASES:
        peer = best_peer(sides, case)
        print(f"\n{case + ':':<32} {'output tokens/s':>15} {'TTFT p50':>10} {'p99':>10} {'a token':>9} "
              f"{'prompt tokens computed':>23}, {needed(chosen, case)} are new")
        for name, side in sides.items():
            rate, p50, p99, tpot, computed = (side.median(case, one) for one in UNITS)
            print(f"{name if name == 'kvasir' else 'llama-server, ' + name:<32} {rate:>15.1f} {1000 * p50:>7.0f} ms "
                  f"{1000 * p99:>7.0f} ms {1000 * tpot:>6.1f} ms {computed:>23.0f}")
        for name in UNITS:
            ratio = sides["kvasir"].median(case, name) / sides[peer].median(case, name)
            goal, met = verdict(case, name, ratio)
            if goal:
                print(f"  {name} is {ratio:.2f} x that of llama-server, {peer}; goal {goal}: "
                      f"{'met' if met else 'MISSED'}")


def parse():
    arguments = argparse.ArgumentParser(prog="bench/run clients")
    arguments.add_argument("--clients", type=int, default=8)
    arguments.add_argument("--prefix", type=int, default=1000, help="tokens that they share")
    arguments.add_argument("--question", type=int, default=30, help="tokens of each one's own")
    arguments.add_argument("--output", type=int, default=64, help="tokens of each answer")
    add_common(arguments)
    return arguments.parse_args()


def main():
    chosen = parse()
    servers = {"kvasir": kvasir_server(chosen)}
    for name, setting in llama_settings(chosen).items():
        servers[name] = llama_server(chosen, setting)
    with running(servers.values()):
        sides = {name: Side(server) for name, server in servers.items()}
        run_rounds(chosen.rounds, lambda number: one_round(chosen, sides, number))
    if chosen.json:
        print_figures(chosen, sides)
    else:
        print_table(chosen, sides)


if __name__ == "__main__":
    main()
