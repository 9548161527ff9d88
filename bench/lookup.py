#!/usr/bin/env python3
"""bench/run lookup: what prompt lookup (limits.speculation) does to decoding, over HTTP: kvasir with it beside kvasir
without it, the same prompts in turn, greedy. Their answers have to be the same, byte for byte.

Texts are taken as they are from the recorded calls of coding and tool agents in ../shared/data/agents: the first
distinct ones of a size that fits. Without that folder the bench says so and ends. The tasks are such that a good reply
repeats most of its prompt: a function with a name changed, a document in its own words. The default model is small; of
what it was asked, these are the wordings after which it copies at all (told to rewrite whole files it makes up others),
and what it makes of them counts whether it copied or not. Free questions stand for everything else: nothing is to be
gained there, and nothing may be lost.
"""

import argparse
import json
import os
import re
import subprocess
import sys

from peers import ROOT, figure, machine, median, run_rounds
from servers import add_common, kvasir_server, running

AGENTS = os.path.join(os.path.dirname(ROOT), "shared", "data", "agents")
GAIN, LOSS = 1.5, 0.97
OUTPUT = 256


def recorded(name):
    path = os.path.join(AGENTS, "lmcache-agent-trace", name)
    lines = subprocess.run(["zstd", "-dcq", path], capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line)["input"] for line in lines if line]


def first_distinct(texts, count):
    return list(dict.fromkeys(texts))[:count]


def functions_shown(calls):
    """(name, text) of Python functions in files that an agent had printed."""
    whole = re.compile(r"(?m)^((?:    )?)def (\w+)\(.*\n(?:(?:\1    .*)?\n)+")
    for call in calls:
        for shown in re.findall(r"<output>\n(.*?)</output>", call, re.S):
            for found in whole.finditer(shown):
                if 250 < len(found[0]) < 1500:
                    yield found[2], found[0].rstrip()


def edits(calls, count):
    for name, code in first_distinct(functions_shown(calls), count):
        yield f"Repeat this code, but with `{name}` renamed to `{name}_all`:\n```python\n{code}\n```"


def descriptions(calls):
    """What users had asked coding agents for."""
    for call in calls:
        found = re.search(r"Consider the following PR description:\n(.*?)\n</pr_description>", call, re.S)
        if found and 500 < len(found[1]) < 2500:
            yield found[1].strip()


def quotes(calls, count):
    for text in first_distinct(descriptions(calls), count):
        yield (f"Document:\n{text}\n\nQuestion: what does the document say? Answer with its own words: quote the "
               f"document sentence by sentence.")


def questions(count):
    with open(os.path.join(AGENTS, "fastchat", "mt_bench_question.jsonl"), encoding="utf-8") as file:
        for line in list(file)[:count]:
            yield json.loads(line)["turns"][0]


def prompts(count):
    calls = recorded("miniswe.jsonl.zst")
    return {"code edits": list(edits(calls, count)), "quotes from a document": list(quotes(calls, count)),
            "free questions": list(questions(count))}


class Side:
    def __init__(self, speculation, chosen):
        self.server = kvasir_server(chosen, f"limits:\n  speculation: {speculation}\n")
        self.rates, self.texts = {}, {}

    def ask(self, kind, prompt):
        reply = self.server.stream("/v1/chat/completions", {
            "model": self.server.model(), "messages": [{"role": "user", "content": prompt}], "temperature": 0,
            "max_tokens": OUTPUT, "stream_options": {"include_usage": True}})
        assert reply.status == 200 and reply.done, reply.status
        times = [at for at, event in zip(reply.times, reply.events) if event.get("choices")]
        tokens = reply.usage["completion_tokens"]
        if tokens > 32:  # shorter ones say little about speed
            seconds = times[-1] - reply.first_token_seconds
            self.rates.setdefault((kind, prompt), []).append((tokens - 1) / seconds)
        text = self.texts.setdefault(prompt, reply.text)
        assert text == reply.text, "two answers to one prompt"


def gains(on, off, kind):
    """The medians of each prompt's rates, with and without."""
    keys = [key for key in off.rates if key[0] == kind]
    return [(median(on.rates[key]), median(off.rates[key])) for key in keys]


def report(kind, pairs, goal, as_json):
    ratios = sorted(one / other for one, other in pairs)
    with_, without = median([one for one, _ in pairs]), median([other for _, other in pairs])
    ratio = median(ratios) if goal > 1 else ratios[0]
    if as_json:
        figure(f"decode with prompt lookup, {kind}", round(with_, 1), "tokens/s", "without", round(without, 1),
               round(ratio, 3), f">= {goal}" + ("" if goal > 1 else ", each prompt"), ratio >= goal)
        return
    print(f"{kind:24} {without:7.1f} -> {with_:7.1f} tokens/s   {median(ratios):5.2f} x "
          f"({ratios[0]:.2f} to {ratios[-1]:.2f} over {len(ratios)} prompts)")


def main():
    arguments = argparse.ArgumentParser(prog="bench/run lookup", description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(arguments)
    arguments.add_argument("--prompts", type=int, default=6, help="of each kind")
    arguments.add_argument("--show", action="store_true", help="the answers, too")
    chosen = arguments.parse_args()
    if not os.path.isdir(AGENTS):
        print(f"skipped: {os.path.relpath(AGENTS, ROOT)} is not there")
        return
    asked = prompts(chosen.prompts)
    on, off = Side("auto", chosen), Side("off", chosen)
    with running([on.server, off.server]):
        def one_round(number):
            for kind, texts in asked.items():
                for prompt in texts:
                    for side in (on, off) if number % 2 == 0 else (off, on):
                        side.ask(kind, prompt)

        run_rounds(chosen.rounds, one_round)
        drafted, accepted = (on.server.metric(f"kvasir_{name}_tokens_total") for name in ("drafted", "accepted"))
    assert on.texts == off.texts, "answers differ"
    if chosen.show:
        for prompt, text in on.texts.items():
            print(f"--- {prompt}\n--- answer\n{text}\n", file=sys.stderr)
    if not chosen.json:
        print(f"{machine()}, {chosen.type}, {chosen.threads} threads, medians of {chosen.rounds} rounds, {OUTPUT} "
              f"tokens at most; {accepted:.0f} of {drafted:.0f} guesses were right")
    for kind in asked:
        report(kind, gains(on, off, kind), LOSS if kind == "free questions" else GAIN, chosen.json)


if __name__ == "__main__":
    main()
