"""Streamed requests to a local server, many at a time, from one thread: while they run it only stores what comes and
when, and reads it afterwards, so that the client takes as little as it can of the cores that the server needs."""

import bisect
import itertools
import json
import selectors
import socket
import subprocess
import time

from peers import KVASIR, MODEL_FILE, median, quantile
from local_server import StreamReply, long_text


def token_ids(count, seed):
    """So many ids of plain text in the default model's vocabulary, the same for the same seed. Takes a while: never to
    be called while something is measured."""
    text = json.dumps({"text": long_text(count, seed)})
    done = subprocess.run([KVASIR, "tokenize", "--model", MODEL_FILE], input=text + "\n", capture_output=True,
                          text=True, check=True)
    ids = json.loads(done.stdout)["ids"]
    assert len(ids) >= count
    return ids[:count]


def completion(ids, output):
    """The body of a greedy request for exactly so many tokens, as both servers take it."""
    return {"prompt": ids, "max_tokens": output, "temperature": 0, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}}


class Call:
    """One streamed answer. Seconds are on the clock of time.perf_counter."""

    def __init__(self, sock):
        self.sock = sock
        self.begin = time.perf_counter()
        self.pieces = []  # (when, bytes)
        self.events = 0  # so far, about
        self.done = False

    def take(self):
        data = self.sock.recv(1 << 16)
        if data:
            self.pieces.append((time.perf_counter(), data))
        self.events += data.count(b"data: ")
        self.done = not data or b"data: [DONE]" in data

    def reply(self):
        """The answer so far."""
        data = b"".join(piece for _, piece in self.pieces)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        reply = StreamReply(int(lines[0].split()[1]), {name.lower(): value for name, value in
                                                       (line.split(": ", 1) for line in lines[1:])})
        for when, line in self._lines(len(head) + 4, body, "chunked" in reply.headers.get("transfer-encoding", "")):
            if line.startswith(b"data: {"):
                reply.times.append(when - self.begin)
                reply.events.append(json.loads(line[6:]))
        return reply

    def _lines(self, at, body, chunked):
        """(when, line) of the body's whole lines, `at` being where the body starts."""
        ends = list(itertools.accumulate(len(piece) for _, piece in self.pieces))
        rest = b""
        for start, piece in _chunks(body) if chunked else [(0, body)]:
            when = self.pieces[bisect.bisect_left(ends, at + start + len(piece))][0]
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield when, line.strip()


def _chunks(body):
    """(offset, bytes) of a chunked body's whole chunks."""
    at = 0
    while (end := body.find(b"\r\n", at)) > 0:
        size = int(body[at:end], 16)
        if size == 0 or end + 2 + size > len(body):
            return
        yield end + 2, body[end + 2:end + 2 + size]
        at = end + 2 + size + 2


class Load:
    """Calls of one server, which is running."""

    def __init__(self, server, key="none"):
        self.server = server
        self.model = server.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).json()["data"][0]["id"]
        self.selector = selectors.DefaultSelector()

    def start(self, body, key="none"):
        data = json.dumps({"model": self.model, **body}).encode()
        sock = socket.create_connection(("127.0.0.1", self.server.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        call = Call(sock)
        sock.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     b"Authorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                     % (key.encode(), len(data)) + data)
        self.selector.register(sock, selectors.EVENT_READ, call)
        return call

    def until(self, condition, seconds=600):
        """Reads until condition() holds."""
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                log = self.server.log_text()[-2000:]
                raise RuntimeError(f"{self.server.binary} took more than {seconds} s:\n{log}")
            for key, _ in self.selector.select(timeout=0.1):
                key.data.take()
                if key.data.done:
                    self.drop(key.data)

    def drop(self, call):
        """Ends a call, from this side where it is not done."""
        if call.sock is not None:
            self.selector.unregister(call.sock)
            call.sock.close()
            call.sock = None

    def all(self, bodies, key="none"):
        """Asks them all at once; the answers, and the seconds until the last one was whole."""
        begin = time.perf_counter()
        calls = [self.start(body, key) for body in bodies]
        self.until(lambda: all(call.done for call in calls))
        seconds = max(call.pieces[-1][0] for call in calls) - begin
        replies = [call.reply() for call in calls]
        for reply in replies:
            if reply.status != 200 or reply.usage is None:
                raise RuntimeError(f"{self.server.binary} answered {reply.status}: {reply.events[-1:]}")
        return replies, seconds


def token_times(reply):
    """When text came, in seconds from the request on."""
    return [at for at, event in zip(reply.times, reply.events)
            if any(choice.get("text") for choice in event.get("choices") or [])]


def computed_tokens(reply):
    """Prompt tokens that came from no cache."""
    return reply.usage["prompt_tokens"] - reply.usage["prompt_tokens_details"]["cached_tokens"]


def time_per_output_token(reply):
    times = token_times(reply)
    return (times[-1] - times[0]) / (reply.usage["completion_tokens"] - 1)


def first_token_quantiles(replies):
    """p50 and p99 of the time to the first token."""
    first = [reply.first_token_seconds for reply in replies]
    return median(first), quantile(first, 0.99)
