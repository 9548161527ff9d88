#!/usr/bin/env python3
"""bench/run tenants: 32 tenants, each with a long prefix of its own, ask in turn, over HTTP, beside llama-server.

The first round is cold; in the others each asks another question after its prefix. Once with RAM for the KV of all of
them (llama-server's as slots and as its RAM cache; the better one counts), and once for a third (its as slots): then
kvasir has the rest on its disk tier, and llama-server, which keeps what was used last, nothing of use.
"""

import argparse
import hashlib

from load import Load, completion, computed_tokens, token_ids
from peers import figure, machine, median, run_rounds
from servers import add_common, kvasir_server, llama_server, running

GOALS = {"RAM for all": 3, "RAM for a third": 10}  # llama-server's seconds of a warm round / kvasir's
BLOCK_TOKENS = 32
MIB = 1 << 20


def key_of(tenant):
    return f"bench-key-of-tenant-{tenant}"


class Side:
    """A server that stays up over the rounds."""

    def __init__(self, case, name, server):
        self.case, self.name, self.server = case, name, server
        self.seconds, self.computed = [], []  # of each round

    def round(self, chosen, prompts):
        load, total, computed = Load(self.server, key_of(0)), 0, 0
        for tenant, ids in enumerate(prompts):
            replies, seconds = load.all([completion(ids, chosen.output)], key_of(tenant))
            total += seconds
            computed += computed_tokens(replies[0])
        self.seconds.append(total)
        self.computed.append(computed)


def kvasir_config(chosen, share):
    blocks = -(-request_tokens(chosen) // BLOCK_TOKENS) * chosen.tenants * share
    mib = round(blocks * BLOCK_TOKENS * chosen.kv_bytes / MIB)
    lines = ["cache:", "  tiers:", "    host:", f"      capacity: {mib}MiB", "tenants:"]
    for tenant in range(chosen.tenants):
        digest = hashlib.sha256(key_of(tenant).encode()).hexdigest()
        lines += [f"- name: t{tenant}", "  keys:", f"  - sha256: {digest}"]
    return "\n".join(lines) + "\n"


def request_tokens(chosen):
    return chosen.prefix + chosen.question + chosen.output


def slots(chosen, count):
    """So many slots, each with KV for a request, and nothing beside them."""
    return ["-np", count, "-c", count * (request_tokens(chosen) + 64), "--no-kv-unified", "--cache-ram", 0]


def ram_cache(chosen, share):
    """One slot, and KV of other prompts in RAM."""
    mib = round(chosen.tenants * request_tokens(chosen) * chosen.kv_bytes * share / MIB) + 1
    return ["-np", 1, "-c", 2 * request_tokens(chosen), "--cache-ram", mib]


def make_sides(chosen):
    third = chosen.tenants // 3
    made = []
    if "all" in chosen.cases:
        made += [Side("RAM for all", "kvasir", kvasir_server(chosen, kvasir_config(chosen, 1.25))),
                 Side("RAM for all", "slots", llama_server(chosen, slots(chosen, chosen.tenants))),
                 Side("RAM for all", "RAM cache", llama_server(chosen, ram_cache(chosen, 1.25)))]
    if "third" in chosen.cases:
        made += [Side("RAM for a third", "kvasir", kvasir_server(chosen, kvasir_config(chosen, 1 / 3))),
                 Side("RAM for a third", "slots", llama_server(chosen, slots(chosen, third)))]
    return made


def compare(chosen, sides):
    """For each case: its sides, llama-server's best one, the ratio of the warm rounds, the computed prompt tokens of
    kvasir's warm rounds and how many of them may be."""
    for case, goal in GOALS.items():
        here = [side for side in sides if side.case == case]
        if not here:
            continue
        peer = min(here[1:], key=lambda side: median(side.seconds[1:]))
        ratio = median(peer.seconds[1:]) / median(here[0].seconds[1:])
        # New, and what of the prefix fills no block: that is kept in RAM alone.
        allowed = chosen.tenants * (chosen.question + chosen.prefix % BLOCK_TOKENS)
        yield case, goal, here, peer, ratio, max(here[0].computed[1:]), allowed


def print_figures(chosen, sides):
    for case, goal, (ours, *_), peer, ratio, computed, allowed in compare(chosen, sides):
        name = f"llama-server {chosen.llama_type}, {peer.name}"
        figure(f"{case}, cold round", ours.seconds[0], "s", name, peer.seconds[0], peer.seconds[0] / ours.seconds[0],
               None, None)
        figure(f"{case}, warm round", median(ours.seconds[1:]), "s", name, median(peer.seconds[1:]), ratio,
               f">= {goal}", ratio >= goal)
        figure(f"{case}, prompt tokens computed in a warm round", computed, "tokens", "new tokens", allowed,
               computed / allowed, "<= 1", computed <= allowed)


def print_table(chosen, sides):
    print(f"{machine()}; {chosen.threads} threads; {chosen.tenants} tenants in turn, prefixes of {chosen.prefix} "
          f"tokens, questions of {chosen.question}, answers of {chosen.output}; kvasir {chosen.type}, llama-server "
          f"{chosen.llama_type}; seconds a round, warm: median of {chosen.rounds - 1} interleaved rounds")
    for case, goal, here, peer, ratio, computed, allowed in compare(chosen, sides):
        print(f"\n{case + ':':<26} {'cold':>8} {'warm':>8}   prompt tokens computed in the rounds")
        for side in here:
            name = side.name if side is here[0] else f"llama-server, {side.name}"
            print(f"{name:<26} {side.seconds[0]:>6.1f} s {median(side.seconds[1:]):>6.1f} s   "
                  f"{' '.join(map(str, side.computed))}")
        print(f"  llama-server, {peer.name} takes {ratio:.1f} x as long; goal >= {goal}: "
              f"{'met' if ratio >= goal else 'MISSED'}\n  at most {computed} prompt tokens computed in a warm round; "
              f"goal <= {allowed}: {'met' if computed <= allowed else 'MISSED'}")


def parse():
    arguments = argparse.ArgumentParser(prog="bench/run tenants")
    arguments.add_argument("--tenants", type=int, default=32)
    arguments.add_argument("--prefix", type=int, default=1000, help="tokens of each tenant's own")
    arguments.add_argument("--question", type=int, default=30, help="tokens after it, new in each round")
    arguments.add_argument("--output", type=int, default=16, help="tokens of each answer")
    arguments.add_argument("--cases", nargs="+", choices=["all", "third"], default=["all", "third"])
    arguments.add_argument("--kv-bytes", type=int, default=23040, help="of a token, of both: f16")
    add_common(arguments, rounds=6)
    return arguments.parse_args()


def one_round(chosen, sides, number):
    prompts = [token_ids(chosen.prefix, tenant) + token_ids(chosen.question, 1000 * (number + 1) + tenant)
               for tenant in range(chosen.tenants)]
    for side in sides:
        side.round(chosen, prompts)


def main():
    chosen = parse()
    sides = make_sides(chosen)
    with running(side.server for side in sides):
        run_rounds(chosen.rounds, lambda number: one_round(chosen, sides, number))
    if chosen.json:
        print_figures(chosen, sides)
    else:
        print_table(chosen, sides)


if __name__ == "__main__":
    main()
