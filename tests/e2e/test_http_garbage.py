"""Malformed HTTP, JSON and UTF-8, and everything over a limit: the right status, words, and a server that goes on."""

import json
import socket
import threading

import pytest
from conftest import MODEL
from support import chat_body, http_bytes

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from conftest import Servers
    made = Servers(tmp_path_factory.mktemp("kvasir"))
    started = made.start(limits={"body_bytes": "1MiB", "header_bytes": "16KiB", "header_timeout": "1s",
                                 "body_timeout": "1s"})
    yield started
    assert started.is_running(), started.log_text()[-4000:]
    made.end()


@pytest.fixture(autouse=True)
def goes_on(server):
    yield
    reply = server.post(CHAT, chat_body("Hello.", max_tokens=2))
    assert reply.status == 200, reply.body


def raw(server, data, seconds=5, half_close=False):
    """What the server sends to these bytes until it closes or is silent for so long."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as client:
        received = b""
        try:
            client.sendall(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(65536):
                received += chunk
                if is_whole(received):
                    break
        except (ConnectionResetError, BrokenPipeError, socket.timeout):
            pass
        return received


def is_whole(received):
    head, mark, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if mark and line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False


def status_of(received):
    return int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.") else None


def error_of(reply):
    body = reply.json()["error"]
    assert set(body) == {"message", "type", "param", "code"} and len(body["message"]) > 5
    return body


@pytest.mark.parametrize("data", [
    b"\x00\x01\x02\x03\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: nine\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
])
def test_malformed_http_is_refused(server, data):
    status = status_of(raw(server, data))
    assert status in (None, 400, 408, 413, 431, 501, 505), status


def test_two_framings_are_refused(server):
    body = json.dumps(chat_body("Hello.", 1)).encode()
    data = http_bytes(CHAT, body, headers=("Transfer-Encoding: chunked",))
    assert status_of(raw(server, data)) in (400, 501)
    twice = http_bytes(CHAT, body, headers=(f"Content-Length: {len(body) + 1}",))
    assert status_of(raw(server, twice)) == 400


def test_huge_headers(server):
    assert status_of(raw(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")) == 431
    many = b"".join(b"X-%d: y\r\n" % i for i in range(20_000))
    assert status_of(raw(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + many + b"\r\n")) == 431
    assert status_of(raw(server, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n")) in (414, 431)


def test_body_over_the_limit(server):
    reply = server.post(CHAT, chat_body("x" * (1 << 20)))
    assert reply.status == 413 and "1048576" in error_of(reply)["message"]
    head = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 40}\r\n\r\n".encode()
    assert status_of(raw(server, head)) == 413
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    chunked = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunk * 64
    assert status_of(raw(server, chunked)) in (413, None)  # None: cut off before it could be read


def test_a_body_in_chunks_is_a_body(server):
    body = json.dumps(chat_body("Hello.", 2)).encode()
    data = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for i in range(0, len(body), 7):
        part = body[i:i + 7]
        data += b"%x\r\n%s\r\n" % (len(part), part)
    assert status_of(raw(server, data + b"0\r\n\r\n", seconds=30)) == 200


def test_slow_and_silent_clients_are_dropped(server):
    assert status_of(raw(server, b"", seconds=5)) in (None, 408)
    assert status_of(raw(server, b"GET /healthz HTTP/1.1\r\nHo", seconds=5)) in (None, 408)
    data = http_bytes(CHAT, b"{}").replace(b"Content-Length: 2", b"Content-Length: 200")
    assert status_of(raw(server, data, seconds=5)) in (None, 408)


def test_half_a_request_then_gone(server):
    whole = http_bytes(CHAT, json.dumps(chat_body("Hello.", 4)).encode())
    for cut in range(1, len(whole), 17):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(whole[:cut])


def test_pipelined_requests_are_answered_in_order(server):
    two = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(two)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    assert received.count(b"HTTP/1.1 ") == 2
    assert received.index(b"HTTP/1.1 200") < received.index(b"HTTP/1.1 404")


@pytest.mark.parametrize("body", [
    b"", b"{", b"nonsense", b"[]", b"null", b'"text"', b'{"model": "smollm2", "messages": [}',
    b'{"model": "smollm2", "messages": [{"role": "user", "content": "x"}]} trailing',
    b'{"model": "smollm2", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    b'{"model": "smollm2", "messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"model": "smollm2", "messages": [{"role": "user", "content": "a\x00b"}]}',
    b'{"model": "smollm2", "messages": [{"role": "user", "content": "x"}], "temperature": 1e999}',
])
def test_malformed_json_is_a_400_with_words(server, body):
    reply = server.post(CHAT, body)
    assert reply.status == 400, reply.body
    assert error_of(reply)["type"] == "invalid_request_error"


def test_json_of_depth_100(server):
    deep = b'{"model": "smollm2", "messages": ' + b"[" * 100 + b"]" * 100 + b"}"
    reply = server.post(CHAT, deep)
    assert reply.status == 400 and "64" in error_of(reply)["message"]
    assert server.post(CHAT, b"[" * 500_000).status == 400


@pytest.mark.parametrize("change", [
    {"messages": "hello"}, {"messages": [1]}, {"messages": [{"role": "king", "content": "x"}]},
    {"messages": [{"role": "user"}]}, {"messages": [{"role": "user", "content": 5}]}, {"max_tokens": 0},
    {"max_tokens": -1}, {"max_tokens": 1.5}, {"max_tokens": "many"}, {"temperature": -1}, {"temperature": "hot"},
    {"top_p": 2}, {"n": 0}, {"n": 1000}, {"stop": [1]}, {"stop": ["a"] * 100}, {"logit_bias": {"x": 1}},
    {"logit_bias": {"5": 1000}}, {"logprobs": "yes"}, {"top_logprobs": 50, "logprobs": True}, {"seed": "x"},
    {"stream": "yes"}, {"presence_penalty": 3}, {"model": 5}, {"model": None},
])
def test_fields_that_are_wrong_are_named(server, change):
    reply = server.post(CHAT, {**chat_body("Hello.", 2), **change})
    assert reply.status == 400, reply.body
    error = error_of(reply)
    field = next(iter(change))
    assert field in (error["param"] or "") or field in error["message"], error


@pytest.mark.parametrize("ids", [[-1], [49_152], [10 ** 12], [1.5], [1, "a"], [None], [[1], [99_999]], [[1], []], []])
def test_token_ids_out_of_range(server, ids):
    reply = server.post("/v1/completions", {"model": MODEL, "prompt": ids, "max_tokens": 1})
    assert reply.status == 400, reply.body
    assert "prompt" in (error_of(reply)["param"] or "")
    reply = server.post("/detokenize", {"model": MODEL, "tokens": ids})
    assert reply.status == (200 if ids == [] else 400), reply.body


def test_prompt_over_the_context(server):
    reply = server.post(CHAT, chat_body("word " * 9000, 1))
    error = error_of(reply)
    assert reply.status == 400 and error["code"] == "context_length_exceeded" and "8192" in error["message"]


def test_unknown_paths_and_methods(server):
    assert server.get("/nowhere").status == 404
    assert error_of(server.get("/v1/nowhere"))["type"] == "invalid_request_error"
    reply = server.get(CHAT)
    assert reply.status == 405 and "POST" in reply.headers["allow"]
    assert server.request("DELETE", "/healthz").status == 405
    assert server.request("HEAD", "/healthz").status in (200, 405)
    assert server.get("/v1/models/../../etc/passwd").status == 404
    assert server.get("/v1/models/%00").status in (400, 404)


def test_many_bad_clients_at_once(server):
    def misbehave(number):
        for data in (b"\x00" * 1000, b"POST / HTTP/1.1\r\n", http_bytes(CHAT, b"{" * number)):
            raw(server, data, seconds=3, half_close=True)

    threads = [threading.Thread(target=misbehave, args=(i,)) for i in range(1, 33)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
