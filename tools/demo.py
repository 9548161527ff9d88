#!/usr/bin/env python3
"""./run --demo: a long prompt cold, again, and again after kill -9; a table of where its tokens came from."""

import os
import sys
import tempfile
import time

from local_server import LocalServer, cached_by_tier, long_text

PROMPT_WORDS = 1480
FLUSH_SECONDS = 1.5  # a block is on the disk at most a second after its commit


def ask(server, model):
    body = {"model": model, "max_tokens": 24, "temperature": 0, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": long_text(PROMPT_WORDS) + " What is this story about?"}]}
    reply = server.stream("/v1/chat/completions", body)
    if reply.status != 200 or not reply.done:
        sys.exit(f"demo: the server answered {reply.status}: {reply.events}")
    return reply


def row(name, reply):
    tokens = cached_by_tier(reply.headers)
    cached = ", ".join(f"{tokens[tier]} {tier}" for tier in ("host", "disk") if tokens.get(tier)) or "0"
    print(f"{name:<24} {reply.usage['prompt_tokens']:>13}   {cached:<16} {reply.first_token_seconds * 1000:>8.0f} ms",
          flush=True)


def main():
    binary, model_file = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix="kvasir-demo-") as folder:
        server = LocalServer(binary, ["--model", model_file, "--cache-dir", os.path.join(folder, "cache")],
                             os.path.join(folder, "log"))
        try:
            print(f"Starting kvasir with an empty cache; disk tier in {folder}/cache\n", flush=True)
            model = server.start().model()
            print(f"{'request':<24} {'prompt tokens':>13}   {'cached tokens':<16} {'TTFT':>11}")
            cold = ask(server, model)
            row("first", cold)
            warm = ask(server, model)
            row("the same again", warm)
            time.sleep(FLUSH_SECONDS)
            server.kill()
            server.start()
            restarted = ask(server, model)
            row("after kill -9 and start", restarted)
        finally:
            server.kill()
        same = cold.text == warm.text == restarted.text
        print(f"\nThe three answers are {'equal' if same else 'NOT EQUAL'}: {cold.text!r}")
        return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
