"""64 streams at once, each with the ids it has alone; memory under its bound."""

import os
import threading

from conftest import MODEL, MODEL_FILE
from support import idle, wait_until

from local_server import long_text

STREAMS = 64
HOST_BYTES = 512 << 20
SLACK_BYTES = 300 << 20


def bodies():
    """Short and long, some sharing a beginning."""
    shared = long_text(150, seed=99)
    for i in range(STREAMS):
        text = (shared if i % 3 == 0 else "") + long_text(10 + i * 3, seed=i)
        yield {"model": MODEL, "prompt": text, "max_tokens": 24, "temperature": 0 if i % 2 else 0.9, "seed": i,
               "ignore_eos": True, "stream_options": {"include_usage": True}}


def test_64_streams_say_what_each_says_alone_within_bounded_memory(servers):
    alone_server = servers.start(cache={"tiers": {"host": {"capacity": "512MiB"}, "disk": {"path": ""}}})
    alone = [alone_server.stream("/v1/completions", body).text for body in bodies()]
    alone_server.kill()

    server = servers.start()
    together = [None] * STREAMS

    def run(i, body):
        together[i] = server.stream("/v1/completions", body)

    threads = [threading.Thread(target=run, args=(i, body)) for i, body in enumerate(bodies())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.status for reply in together] == [200] * STREAMS
    assert all(reply.done and reply.usage["completion_tokens"] == 24 for reply in together)
    different = [i for i, (one, reply) in enumerate(zip(alone, together)) if one != reply.text]
    assert different == []
    wait_until(lambda: idle(server), what="everything to be free")
    bound = 1.4 * os.path.getsize(MODEL_FILE) + HOST_BYTES + SLACK_BYTES
    assert server.resident_bytes("VmHWM") < bound, f"{server.resident_bytes('VmHWM') >> 20} MiB"


def test_a_pool_too_small_for_all_preempts_and_still_says_the_same(servers):
    generous = servers.start(cache={"tiers": {"host": {"capacity": "512MiB"}, "disk": {"path": ""}}})
    asked = list(bodies())[:12]
    for body in asked:
        body["prompt"] = long_text(300, seed=body["seed"])
    alone = [generous.stream("/v1/completions", body).text for body in asked]
    generous.kill()
    small = servers.start(cache={"tiers": {"host": {"capacity": "32MiB"}, "disk": {"path": ""}}})
    together = [None] * len(asked)

    def run(i, body):
        together[i] = small.stream("/v1/completions", body).text

    threads = [threading.Thread(target=run, args=(i, body)) for i, body in enumerate(asked)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
