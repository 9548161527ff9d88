"""What was committed is served after kill -9 and after SIGTERM, with the same ids and the same bits."""

import os
import threading
import time

import pytest
from support import answer, cached_tokens, chat_body, wait_until

from local_server import cached_by_tier, long_text

FLUSHED_SECONDS = 1.5  # a block is on the disk at most a second after its commit
BLOCK_TOKENS = 32


def prompt_of(seed, words=600):
    return chat_body(long_text(words, seed), max_tokens=24)


@pytest.mark.parametrize("end", ["kill -9", "SIGTERM"])
def test_warm_after(servers, end):
    server = servers.start()
    cold = [answer(server, prompt_of(seed)) for seed in range(3)]
    assert all(cached_tokens(one) <= 2 * BLOCK_TOKENS for one in cold)
    warm = [answer(server, prompt_of(seed)) for seed in range(3)]
    if end == "kill -9":
        time.sleep(FLUSHED_SECONDS)
        server.kill()
    else:
        assert server.stop() == 0
    server.start()
    restarted = [answer(server, prompt_of(seed)) for seed in range(3)]
    for before, pool, after in zip(cold, warm, restarted):
        assert after["tokens"] == before["tokens"] == pool["tokens"]
        assert after["text"] == before["text"]
        tiers = cached_by_tier(after["headers"])
        prompt = after["usage"]["prompt_tokens"]
        assert tiers["disk"] >= prompt - 2 * BLOCK_TOKENS, tiers
        assert tiers["host"] + tiers["disk"] + tiers["computed"] == prompt
        assert cached_tokens(after) == tiers["host"] + tiers["disk"]


def test_sigterm_lets_running_requests_finish_and_refuses_new_ones(servers):
    server = servers.start(limits={"drain_timeout": "30s"})
    replies = []
    body = {"model": "smollm2", "prompt": "One two three", "max_tokens": 150, "ignore_eos": True, "temperature": 0}
    thread = threading.Thread(target=lambda: replies.append(server.stream("/v1/completions", body)))
    thread.start()
    wait_until(lambda: server.metric("kvasir_sequences_running") == 1, what="one that runs")
    status = []
    stopper = threading.Thread(target=lambda: status.append(server.stop()))
    stopper.start()
    thread.join(60)
    stopper.join(60)
    assert status == [0]
    assert replies[0].done and len(replies[0].text) > 100


def test_sigterm_gives_up_on_what_does_not_end(servers):
    server = servers.start(limits={"drain_timeout": "1s"})
    body = {"model": "smollm2", "prompt": "One two three", "max_tokens": 8000, "ignore_eos": True}
    outcome = []

    def run():
        try:
            outcome.append(server.stream("/v1/completions", body))
        except OSError as broken:
            outcome.append(broken)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: server.metric("kvasir_sequences_running") == 1, what="one that runs")
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 10
    thread.join(10)
    assert outcome


def test_a_second_server_on_the_same_folder_is_refused(servers):
    servers.start()
    second = servers.make()
    with pytest.raises(RuntimeError, match="ended with [1-9]"):
        second.start()


def test_another_block_size_starts_cold_and_right(servers):
    first = servers.start()
    cold = answer(first, prompt_of(1))
    assert first.stop() == 0
    other = servers.start(cache={"block_tokens": 64, "tiers": {"host": {"capacity": "512MiB"}, "disk": {
        "path": os.path.join(servers.folder, "cache"), "capacity": "4GiB"}}})
    again = answer(other, prompt_of(1))
    assert again["tokens"] == cold["tokens"]
    assert cached_by_tier(again["headers"])["disk"] == 0


def test_a_damaged_store_is_a_miss(servers):
    server = servers.start()
    cold = answer(server, prompt_of(2))
    assert server.stop() == 0
    folder = os.path.join(servers.folder, "cache")
    damaged = 0
    for path, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".blob"):
                with open(os.path.join(path, name), "r+b") as file:
                    size = os.path.getsize(file.name)
                    for at in range(size // 7, size, max(1, size // 7)):
                        file.seek(at)
                        byte = file.read(1)
                        file.seek(at)
                        file.write(bytes([byte[0] ^ 0x55]))
                damaged += 1
    assert damaged > 0
    server.start()
    again = answer(server, prompt_of(2))
    assert again["tokens"] == cold["tokens"]
    assert server.metric("kvasir_corrupt_records_total") > 0
