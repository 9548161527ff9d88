"""What several end-to-end tests ask a server, and wait for."""

import contextlib
import json
import socket
import time

from conftest import MODEL


def chat_body(text, max_tokens=16, **more):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens,
            "temperature": 0, **more}


def answer(server, body):
    """A chat completion with the bits of what it says: every token and its log-probability."""
    reply = server.post("/v1/chat/completions", {**body, "logprobs": True, "top_logprobs": 2})
    assert reply.status == 200, reply.body
    value = reply.json()
    choice = value["choices"][0]
    return {"text": choice["message"]["content"], "finish": choice["finish_reason"],
            "tokens": [(t["token"], t["logprob"], [(o["token"], o["logprob"]) for o in t["top_logprobs"]])
                       for t in choice["logprobs"]["content"]],
            "usage": value["usage"], "headers": reply.headers}


def cached_tokens(reply):
    return reply["usage"]["prompt_tokens_details"]["cached_tokens"]


def wait_until(condition, seconds=10, what="a condition"):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


def blocks(server, state, tier="host"):
    return server.metric("kvasir_blocks", tier=tier, state=state)


def idle(server):
    """Nothing runs, nothing waits, and no block is held."""
    return (server.metric("kvasir_sequences_running") == 0 and server.metric("kvasir_sequences_waiting") == 0 and
            blocks(server, "leased") == 0 and blocks(server, "filling") == 0)


def http_bytes(path, body, method="POST", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json",
             f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextlib.contextmanager
def holding(server, body, path="/v1/completions"):
    """A request in flight whose client reads nothing and then goes away without a word."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    try:
        client.sendall(http_bytes(path, json.dumps(body).encode()))
        yield client
    finally:
        client.close()
