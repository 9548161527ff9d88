"""kill -9 at random moments under load, then a start: no crash, no wrong id, what was committed is served.

Six times in ./test, thirty in ./test --full."""

import http.client
import os
import random
import threading
import time

from support import answer, chat_body

from local_server import cached_by_tier, long_text

CRASHES = 30 if os.environ.get("KVASIR_FULL") else 6
PROMPTS = 10
FLUSHED_SECONDS = 1.5


def body_of(number):
    return chat_body(long_text(60 + 40 * number, seed=number), max_tokens=12)


def ask_until_killed(server, numbers, seen, stop):
    """Asks one prompt after the other; keeps what was answered, with when."""
    while not stop.is_set():
        number = numbers.choice(range(PROMPTS))
        try:
            seen.append((number, answer(server, body_of(number)), time.monotonic()))
        except (OSError, http.client.HTTPException):
            return


def test_kill_at_random_moments(servers):
    chance = random.Random(20)
    server = servers.start(cache={"tiers": {"host": {"capacity": "64MiB"}, "disk": {
        "path": os.path.join(servers.folder, "cache"), "capacity": "1GiB"}}})
    right = {number: answer(server, body_of(number))["tokens"] for number in range(PROMPTS)}
    time.sleep(FLUSHED_SECONDS)
    committed = set(range(PROMPTS))
    for crash in range(CRASHES):
        seen, stop = [], threading.Event()
        clients = [threading.Thread(target=ask_until_killed, args=(server, random.Random(crash * 10 + i), seen, stop))
                   for i in range(4)]
        for client in clients:
            client.start()
        time.sleep(chance.uniform(0.02, 1.5))
        server.kill()
        stop.set()
        for client in clients:
            client.join()
        for number, reply, _ in seen:
            assert reply["tokens"] == right[number], f"prompt {number} before crash {crash}"
        server.start()
        number = chance.choice(sorted(committed))
        reply = answer(server, body_of(number))
        assert reply["tokens"] == right[number], f"prompt {number} after crash {crash}"
        tiers = cached_by_tier(reply["headers"])
        assert tiers["disk"] + tiers["host"] >= reply["usage"]["prompt_tokens"] - 64, f"{tiers} after crash {crash}"
    for number in range(PROMPTS):
        assert answer(server, body_of(number))["tokens"] == right[number]
    assert server.metric("kvasir_corrupt_records_total") == 0
