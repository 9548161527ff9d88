#!/usr/bin/env python3
"""bench/run cpu: prefill and decode of kvasir's CPU backend beside llama-bench: same files, in turn.

For each tensor type of the default model, and for two random models whose shape K-quants fit. llama-bench runs with
flash attention on and off, with as many threads as cores and with half as many; settings that are far behind in the
first round are left out of the others. Its best is taken for each figure.
"""

import argparse
import os
import subprocess

from peers import (KERNELS_BENCH, LLAMA, MODEL_BENCH, cores, figure, json_lines, json_objects, machine, median,
                   run_rounds)
from models import TYPES, model_file

PREFILLS, DEPTHS = [128, 512, 2048], [0, 2048]
TESTS = [f"prefill {n}" for n in PREFILLS] + [f"decode at {n}" for n in DEPTHS]
QUICK = {"types": ["Q4_1", "Q8_0"], "tests": ["prefill 512", "decode at 0"], "rounds": 1}
DECODED = 64
FAR_BEHIND = 0.75  # of the best setting, in the first round

OWN, ANY, READ = "llama-bench, same type", "llama-bench, best type", "read bandwidth"
# (type, test): at least so many times what the second says; of several one is enough.
GOALS = {
    ("Q4_1", "prefill 512"): [[(5, OWN)], [(1.5, ANY)]],
    ("Q8_0", "prefill 512"): [[(1.6, OWN)]],
    ("Q4_K_M", "prefill 512"): [[(1.6, OWN)]],
    ("random-Q4_K", "prefill 512"): [[(1.6, OWN)]],
    ("Q4_1", "prefill 2048"): [[(1.6, ANY)]],
    ("Q4_1", "decode at 0"): [[(1.7, OWN)], [(1.3, ANY)], [(0.75, READ)]],
    ("Q8_0", "decode at 0"): [[(1.4, OWN), (0.8, READ)]],
    ("Q4_1", "decode at 2048"): [[(1.7, ANY)]],
}


def numbers(tests, kind):
    return [test.split()[-1] for test in tests if test.startswith(kind)]


def machine_limits(threads):
    """GB/s of reading and int8 GOPS, where the processor has them: what bench/run kernels measures first."""
    found = {}
    command = [KERNELS_BENCH, "--threads", str(threads), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bench:
        for row in json_objects(bench.stdout):
            found[row["figure"]] = row["value"]
            if " row" in row["figure"]:  # the kernels themselves: enough
                break
        bench.kill()
    return {"read": found["plain memory reading"], "int8": found.get("int8 from registers")}


def kvasir_round(path, tests, threads):
    command = [MODEL_BENCH, "--model", path, "--threads", str(threads), "--decode", str(DECODED)]
    command += ["--prefill", *(numbers(tests, "prefill") or ["0"]), "--depth"]
    command += numbers(tests, "decode") or ["0"]
    rows = json_lines(command)
    return {row["test"]: row["tokens_per_second"] for row in rows if "test" in row}, rows[0]


def llama_rows(path, setting, options):
    flash, threads = setting
    return json_lines([os.path.join(LLAMA, "llama-bench"), "-m", path, "-fa", str(flash), "-t", str(threads), "-r", "1",
                       "-o", "jsonl", *options])


def llama_round(path, setting, tests):
    """Short tests warm up with a run of their own; for the long ones their length is warm-up enough."""
    rows, prefills, depths = [], numbers(tests, "prefill"), numbers(tests, "decode")
    short = [n for n in prefills if int(n) < 1024]
    if short or "0" in depths:
        rows += llama_rows(path, setting, ["-p", ",".join(short) or "0", "-n", str(DECODED if "0" in depths else 0)])
    for length in [n for n in prefills if n not in short]:
        rows += llama_rows(path, setting, ["-p", length, "-n", "0", "--no-warmup"])
    for depth in [n for n in depths if n != "0"]:
        rows += llama_rows(path, setting, ["-p", "0", "-n", str(DECODED), "-d", depth, "--no-warmup"])
    return {f"prefill {row['n_prompt']}" if row["n_prompt"] else f"decode at {row['n_depth']}": row["avg_ts"]
            for row in rows}


class Rounds:
    """All that was measured: tokens/s by type and test, and for llama-bench by setting too."""

    def __init__(self, chosen):
        self.chosen = chosen
        self.ours, self.theirs, self.limits, self.need = {}, {}, [], {}
        self.settings = [(flash, threads) for threads in chosen.llama_threads for flash in (1, 0)]

    def run(self, number):
        self.limits.append(machine_limits(self.chosen.threads))
        for kind in self.chosen.types:
            path = model_file(kind)
            measured, self.need[kind] = kvasir_round(path, self.chosen.tests, self.chosen.threads)
            for test in self.chosen.tests:
                self.ours.setdefault((kind, test), []).append(measured[test])
            for setting in self.settings:
                tests = [test for test in self.chosen.tests if number == 0 or self.promising(kind, test, setting)]
                for test, value in llama_round(path, setting, tests).items():
                    self.theirs.setdefault((kind, test), {}).setdefault(setting, []).append(value)

    def promising(self, kind, test, setting):
        first = {one: values[0] for one, values in self.theirs[kind, test].items()}
        return first[setting] >= FAR_BEHIND * max(first.values())

    def limit(self, name):
        values = [one[name] for one in self.limits if one[name]]
        return median(values) if values else None

    def best(self, kind, test):
        """(tokens/s, setting) of llama-bench."""
        enough = max(len(values) for values in self.theirs[kind, test].values())
        return max((median(values), setting) for setting, values in self.theirs[kind, test].items()
                   if len(values) == enough)

    def best_of_any(self, kind, test):
        """The same over all types of this shape, and the type."""
        alike = [one for one in self.chosen.types if one.startswith("random") == kind.startswith("random")]
        return max((self.best(one, test) + (one,) for one in alike), key=lambda found: found[0])

    def share_of_limit(self, kind, test):
        """What the machine must at least read or compute for that, as a share of what it can."""
        rate, need, number = median(self.ours[kind, test]), self.need[kind], int(test.split()[-1])
        if test.startswith("decode"):
            bytes_read = need["weight_bytes"] + (number + DECODED / 2) * need["kv_bytes_per_token"]
            return rate * bytes_read / 1e9 / self.limit("read")
        if not self.limit("int8") or kind == "BF16":
            return None
        return rate * need["operations_per_token"] / 1e9 / self.limit("int8")

    def ratios(self, kind, test):
        """{peer: (its value, the ratio to it)}."""
        rate, own, best = median(self.ours[kind, test]), self.best(kind, test)[0], self.best_of_any(kind, test)[0]
        found = {OWN: (own, rate / own), ANY: (best, rate / best)}
        if test.startswith("decode"):
            share = self.share_of_limit(kind, test)
            found[READ] = (rate / share, share)
        return found


def verdicts(rounds, kind, test):
    """[(text of the goal, met)] of a type and test."""
    ratios = rounds.ratios(kind, test)
    found = []
    for goal in GOALS.get((kind, test), []):
        text = " or ".join(f">= {least} x {peer}" for least, peer in goal)
        found.append((text, any(ratios[peer][1] >= least for least, peer in goal), [peer for _, peer in goal]))
    return found


def print_figures(rounds):
    figure("memory reading", rounds.limit("read"), "GB/s", None, None, None, None, None)
    figure("int8 arithmetic", rounds.limit("int8"), "GOPS", None, None, None, None, None)
    for kind, test in rounds.ours:
        value, goals = median(rounds.ours[kind, test]), verdicts(rounds, kind, test)
        for peer, (peer_value, ratio) in rounds.ratios(kind, test).items():
            goal = next(((text, met) for text, met, peers in goals if peer in peers), (None, None))
            figure(f"{kind} {test}", value, "tokens/s", peer, peer_value, ratio, *goal)


def print_table(rounds):
    chosen = rounds.chosen
    print(f"{machine()}; {chosen.threads} threads; medians of {chosen.rounds} interleaved rounds, tokens/s")
    print(f"the machine: reads {rounds.limit('read'):.1f} GB/s" +
          (f", {rounds.limit('int8'):.0f} int8 GOPS" if rounds.limit("int8") else "") +
          "; 'of limit': decode of the reading, prefill of the int8 arithmetic that it takes at least")
    for test in chosen.tests:
        print(f"\n{test:<15} {'kvasir':>8} {'of limit':>8} {'llama':>8} {'':<9} {'ratio':>6} {'best':>8} {'':<11} "
              f"{'ratio':>6}  goals")
        for kind in chosen.types:
            own, (flash, threads) = rounds.best(kind, test)
            best, _, best_kind = rounds.best_of_any(kind, test)
            rate, share = median(rounds.ours[kind, test]), rounds.share_of_limit(kind, test)
            goals = "; ".join(f"{text}: {'met' if met else 'MISSED'}" for text, met, _ in verdicts(rounds, kind, test))
            print(f"{kind:<15} {rate:>8.1f} {f'{share:.0%}' if share else '-':>8} {own:>8.1f} "
                  f"{f'fa={flash} t={threads}':<9} {rate / own:>6.2f} {best:>8.1f} {best_kind:<11} "
                  f"{rate / best:>6.2f}  {goals}")


def parse():
    arguments = argparse.ArgumentParser(prog="bench/run cpu")
    arguments.add_argument("--types", nargs="+", choices=TYPES, default=TYPES, help="tensor types")
    arguments.add_argument("--tests", nargs="+", choices=TESTS, default=TESTS)
    arguments.add_argument("--threads", type=int, default=cores())
    arguments.add_argument("--llama-threads", type=int, nargs="+", default=sorted({cores(), max(1, cores() // 2)}))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--quick", action="store_true", help="one round of two types and two tests")
    arguments.add_argument("--json", action="store_true", help="a line per figure instead of a table")
    chosen = arguments.parse_args()
    if chosen.quick:
        vars(chosen).update(QUICK)
    return chosen


def main():
    chosen = parse()
    rounds = Rounds(chosen)
    run_rounds(chosen.rounds, rounds.run)
    if chosen.json:
        print_figures(rounds)
    else:
        print_table(rounds)


if __name__ == "__main__":
    main()
