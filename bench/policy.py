#!/usr/bin/env python3
"""bench/run policy: token hits of the eviction policies on real traces, with the optimum and how much of the gap
between LRU and the optimum each closes; without pins as in the tiers below the pool, and with pins as in the pool."""

import argparse
import os
import statistics
import sys
import time

from peers import figure, json_lines, machine

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TRACES = os.path.normpath(os.path.join(ROOT, "..", "shared", "data", "traces"))
KVASIR = os.path.join(ROOT, "build", "release", "kvasir")
POLICIES = ["lru", "s3fifo", "value"]
GOAL_GAP, GOAL_BEHIND, GOAL_SECONDS = 0.35, -0.01, 300


def replay(traces, capacities, regime):
    command = [KVASIR, "simulate", "--json", "--policy", ",".join(POLICIES), "--capacity", capacities]
    return json_lines(command + (["--pinned"] if regime == "pinned" else []) + ["--trace", *traces])


def gap(rows, policy):
    closed = [row["lru_gap_closed"] for row in rows if row["policy"] == policy and row["lru_gap_closed"] is not None]
    return statistics.mean(closed) if closed else 0.0


def behind_lru(row):
    return row["token_hit_ratio"] / row["lru_token_hit_ratio"] - 1 if row["lru_token_hit_ratio"] else 0.0


def table(rows, regime):
    print(f"\n{regime}: token hits in %, and of the gap between LRU and the optimum what is closed "
          "(where it is 0.3 points)")
    print(f"{'trace':<22} {'capacity':>8}" + "".join(f"{policy:>16}" for policy in POLICIES) + f"{'optimum':>9}")
    cells = {}
    for row in rows:
        cells.setdefault((row["trace"], row["capacity_blocks"]), []).append(row)
    for (trace, _), row in cells.items():
        line = f"{trace:<22} {100 * row[0]['capacity_share']:>6.1f} %"
        for one in row:
            closed = one["lru_gap_closed"]
            line += f"{100 * one['token_hit_ratio']:>8.2f}"
            line += f" {100 * closed:>5.0f} %" if closed is not None else "       -"
        print(line + f"{100 * row[0]['opt_token_hit_ratio']:>9.2f}")
    for policy in POLICIES:
        worst = min((behind_lru(row) for row in rows if row["policy"] == policy))
        print(f"{policy}: {100 * gap(rows, policy):.1f} % of the gap on average; "
              f"its worst cell is {100 * worst:+.2f} % "
              "of LRU's hits")


def main():
    arguments = argparse.ArgumentParser(prog="bench/run policy")
    arguments.add_argument("--traces", default=TRACES, help="folder of *.jsonl or *.jsonl.zst")
    arguments.add_argument("--capacity", default="1%,2%,5%,10%,25%,50%")
    arguments.add_argument("--json", action="store_true", help="a line per figure instead of tables")
    chosen = arguments.parse_args()
    if not os.path.isdir(chosen.traces):
        print(f"skipped: no traces in {chosen.traces}")
        return
    traces = sorted(os.path.join(chosen.traces, name) for name in os.listdir(chosen.traces)
                    if name.endswith((".jsonl", ".jsonl.zst")))
    if not traces:
        print(f"skipped: no *.jsonl or *.jsonl.zst in {chosen.traces}")
        return
    start = time.monotonic()
    rows = {regime: replay(traces, chosen.capacity, regime) for regime in ("unpinned", "pinned")}
    seconds = time.monotonic() - start
    if chosen.json:
        for regime, some in rows.items():
            closed = gap(some, "value")
            worst = min(behind_lru(row) for row in some if row["policy"] == "value")
            goal = regime == "unpinned"
            figure(f"value, gap closed, {regime}", closed, "share", "LRU", 0, closed,
                   f">= {GOAL_GAP}" if goal else None, closed >= GOAL_GAP if goal else None)
            figure(f"value, worst cell, {regime}", worst, "share of LRU's hits", "LRU", 0, worst, f">= {GOAL_BEHIND}",
                   worst >= GOAL_BEHIND)
        figure("whole table", seconds, "s", "", None, None, f"< {GOAL_SECONDS}", seconds < GOAL_SECONDS)
        return
    print(f"{machine()}; {len(traces)} traces, {seconds:.0f} s")
    for regime, some in rows.items():
        table(some, regime)


if __name__ == "__main__":
    sys.exit(main())
