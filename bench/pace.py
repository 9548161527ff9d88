#!/usr/bin/env python3
"""bench/run pace: a long prompt arrives among running streams, over HTTP, beside llama-server: what becomes of the
streams' inter-token latency, and how fast the prompt is prefilled meanwhile.

For values of kvasir's limits.itl_target, and for batch sizes of llama-server. A round: the prompt alone; streams alone;
another such prompt among the streams; streams alone. Every prompt is new to the cache.
"""

import argparse

from load import Load, completion, token_ids, token_times
from peers import figure, machine, median, quantile, run_rounds
from servers import add_common, kvasir_server, llama_server, running

STREAM_PROMPT, STREAM_OUTPUT = 64, 3000
UNDISTURBED = 100  # tokens of each stream, before the prompt arrives and after it
FIRST_LEFT_OUT = 10
GOALS = [(2.5, 0.4), (5, 0.7)]  # ITL p99 at most so many times the undisturbed, with so much of the prefill speed


class Side:
    """A server that stays up over the rounds, and what was measured with it."""

    def __init__(self, name, server, seed):
        self.name, self.seed = name, seed
        self.load = Load(server)
        self.rounds = []

    def prefill(self, ids):
        """When it was asked for and when the first token came, while streams go on where there are some."""
        call = self.load.start(completion(ids, 1))
        self.load.until(lambda: call.done)
        return call.begin, call.begin + call.reply().first_token_seconds

    def round(self, chosen, number):
        seed = self.seed + 10_000 * number
        prompts = [token_ids(chosen.prompt, seed), token_ids(chosen.prompt, seed + 1)]
        others = [token_ids(STREAM_PROMPT, seed + 10 + i) for i in range(chosen.streams)]
        begin, end = self.prefill(prompts[0])
        streams = [self.load.start(completion(ids, STREAM_OUTPUT)) for ids in others]
        self.wait_tokens(streams, UNDISTURBED + FIRST_LEFT_OUT)
        disturbed, over = self.prefill(prompts[1])
        self.wait_tokens(streams, UNDISTURBED)
        for stream in streams:
            self.load.drop(stream)
        alone, among = gaps(streams, disturbed, over)
        self.rounds.append({"alone p50": quantile(alone, 0.5), "alone p99": quantile(alone, 0.99),
                            "p50": quantile(among, 0.5), "p99": quantile(among, 0.99), "longest": max(among),
                            "prefill alone": chosen.prompt / (end - begin),
                            "prefill": chosen.prompt / (over - disturbed)})

    def wait_tokens(self, streams, count):
        """More of each stream."""
        wanted = [stream.events + count for stream in streams]
        self.load.until(lambda: all(stream.done or stream.events >= goal for stream, goal in zip(streams, wanted)))

    def median(self, name):
        return median([one[name] for one in self.rounds])

    def times_alone(self, name):
        return median([one[name] / one[f"alone {name}"] for one in self.rounds])

    def prefill_share(self):
        return median([one["prefill"] / one["prefill alone"] for one in self.rounds])

    def meets(self, goal):
        return self.times_alone("p99") <= goal[0] and self.prefill_share() >= goal[1]


def gaps(streams, begin, end):
    """Seconds between tokens, without the first ones of each stream: those outside [begin, end], and those that touch
    it."""
    alone, among = [], []
    for stream in streams:
        times = [stream.begin + at for at in token_times(stream.reply())]
        for before, after in list(zip(times, times[1:]))[FIRST_LEFT_OUT:]:
            (among if after >= begin and before <= end else alone).append(after - before)
    return alone, among


def make_servers(chosen):
    servers = {f"itl_target {target}x": kvasir_server(chosen, f"limits:\n  itl_target: {target}x\n")
               for target in chosen.targets}
    slots = chosen.streams + 1
    size = chosen.prompt + 512
    for batch in chosen.batches:
        servers[f"llama-server -b {batch}"] = llama_server(
            chosen, ["-np", slots, "-c", slots * size, "--no-kv-unified", "-b", batch, "-ub", min(batch, 512)])
    return servers


def print_figures(sides):
    ours = [side for side in sides if "llama" not in side.name]
    peers = [side for side in sides if side not in ours]
    for side in sides:
        figure(f"{side.name}: ITL p99", side.median("p99"), "s", "undisturbed", side.median("alone p99"),
               side.times_alone("p99"), None, None)
        figure(f"{side.name}: prefill", side.median("prefill"), "tokens/s", "undisturbed", side.median("prefill alone"),
               side.prefill_share(), None, None)
    for goal in GOALS:
        # Of several that keep the latency, the one with the most prefill; and what llama-server has at most there.
        fits = [side for side in ours if side.times_alone("p99") <= goal[0]]
        best = max(fits or ours, key=Side.prefill_share)
        peer = max((side.prefill_share() for side in peers if side.times_alone("p99") <= goal[0]), default=None)
        figure(f"prefill share at ITL p99 <= {goal[0]} x ({best.name})", best.prefill_share(), "share",
               "llama-server, any -b", peer, best.prefill_share() / peer if peer else None,
               f"ITL p99 <= {goal[0]} x with prefill >= {goal[1]}", any(side.meets(goal) for side in ours))


def print_table(chosen, sides):
    print(f"{machine()}; {chosen.threads} threads; a prompt of {chosen.prompt} tokens among {chosen.streams} streams; "
          f"kvasir {chosen.type}, llama-server {chosen.llama_type}; medians of {chosen.rounds} interleaved rounds; "
          "ITL in ms")
    print(f"{'':<22} | {'alone p50':>9} {'p99':>6} | {'among p50':>9} {'p99':>7} {'longest':>8} | {'p50 x':>6} "
          f"{'p99 x':>6} | {'prefill, of alone':>22}")
    for side in sides:
        ms = {name: 1000 * side.median(name) for name in ("alone p50", "alone p99", "p50", "p99", "longest")}
        print(f"{side.name:<22} | {ms['alone p50']:>9.2f} {ms['alone p99']:>6.1f} | {ms['p50']:>9.2f} "
              f"{ms['p99']:>7.1f} {ms['longest']:>8.1f} | "
              f"{side.times_alone('p50'):>6.2f} {side.times_alone('p99'):>6.2f} | "
              f"{side.median('prefill'):>6.0f} of {side.median('prefill alone'):>5.0f}/s {side.prefill_share():>5.0%}")
    for goal in GOALS:
        meeting = [side.name for side in sides if side.meets(goal)]
        print(f"ITL p99 <= {goal[0]} x undisturbed with >= {goal[1]:.0%} of the prefill speed: "
              f"{', '.join(meeting) or 'none'}")


def parse():
    arguments = argparse.ArgumentParser(prog="bench/run pace")
    arguments.add_argument("--targets", type=float, nargs="*", default=[1.5, 2, 3, 4, 5, 8], help="of itl_target")
    arguments.add_argument("--batches", type=int, nargs="*", default=[2048, 512, 128], help="llama-server's -b")
    arguments.add_argument("--streams", type=int, default=4)
    arguments.add_argument("--prompt", type=int, default=4000, help="tokens of the prompt that arrives")
    add_common(arguments)
    return arguments.parse_args()


def main():
    chosen = parse()
    servers = make_servers(chosen)
    with running(servers.values()):
        sides = [Side(name, server, 1000 * at) for at, (name, server) in enumerate(servers.items())]
        run_rounds(chosen.rounds, lambda number: [side.round(chosen, number) for side in sides])
    if chosen.json:
        print_figures(sides)
    else:
        print_table(chosen, sides)


if __name__ == "__main__":
    main()
