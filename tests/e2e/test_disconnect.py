"""A client that goes away frees its blocks within a step, streaming or not."""

import json
import socket
import time

import pytest
from conftest import MODEL
from support import blocks, holding, idle, wait_until

STEP_SECONDS = 2.0  # one step with its chunk of prefill, on a busy machine


def endless(**more):
    return {"model": MODEL, "prompt": "Tell me a story. " * 40, "max_tokens": 6000, "ignore_eos": True, **more}


@pytest.mark.parametrize("stream", [False, True])
def test_gone_while_tokens_are_made(server, stream):
    with holding(server, endless(stream=stream)):
        wait_until(lambda: blocks(server, "leased") > 4, what="blocks in use")
        assert server.metric("kvasir_sequences_running") == 1
    begin = time.monotonic()
    wait_until(lambda: idle(server), STEP_SECONDS, "the blocks of a client that is gone")
    assert time.monotonic() - begin < STEP_SECONDS


def test_gone_in_the_middle_of_a_stream(server):
    with holding(server, endless(stream=True)) as client:
        received = b""
        while received.count(b"data: ") < 5:
            received += client.recv(4096)
        assert blocks(server, "leased") > 0
    wait_until(lambda: idle(server), STEP_SECONDS, "the blocks of a client that is gone")


@pytest.mark.parametrize("stream", [False, True])
def test_gone_during_prefill(server, stream):
    prompt = "A long prompt that nobody waits for. " * 700
    with holding(server, endless(prompt=prompt, stream=stream)):
        wait_until(lambda: blocks(server, "leased") + blocks(server, "filling") > 0, what="blocks in use")
    wait_until(lambda: idle(server), STEP_SECONDS, "the blocks of a client that is gone")


def test_gone_while_waiting_for_a_place(servers):
    narrow = servers.start(limits={"requests_running": 1})
    with holding(narrow, endless()):
        wait_until(lambda: narrow.metric("kvasir_sequences_running") == 1, what="one that runs")
        with holding(narrow, endless(stream=True)):
            wait_until(lambda: narrow.metric("kvasir_sequences_waiting") == 1, what="one that waits")
        wait_until(lambda: narrow.metric("kvasir_sequences_waiting") == 0, STEP_SECONDS, "the place in the queue")
    wait_until(lambda: idle(narrow), STEP_SECONDS, "the blocks of a client that is gone")


def test_a_client_that_stops_reading_is_dropped(servers):
    server = servers.start(limits={"write_timeout": "1s"})
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    body = json.dumps(endless(stream=True, n=16, logprobs=5)).encode()
    client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    wait_until(lambda: blocks(server, "leased") > 0, what="blocks in use")
    wait_until(lambda: idle(server), 120, "the one who takes nothing to be dropped")
    client.close()


def test_others_go_on(server):
    kept = {"model": MODEL, "prompt": "One, two, three,", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    alone = server.stream("/v1/completions", kept)
    for _ in range(3):
        with holding(server, endless(stream=True)):
            wait_until(lambda: server.metric("kvasir_sequences_running") == 1, what="the other to run")
            beside = holding(server, endless())
            with beside:
                time.sleep(0.05)
        assert server.stream("/v1/completions", kept).text == alone.text
    wait_until(lambda: idle(server), STEP_SECONDS, "everything to be free")
