"""A kvasir server as a child process, and the few calls that the demo, the end-to-end tests and the benches make of it.

Python's standard library only, so that `./run --demo` needs nothing installed.
"""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import time


class Reply:
    """One HTTP answer, read to its end."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names in lower case
        self.body = body

    def json(self):
        return json.loads(self.body)


class StreamReply:
    """One streamed answer: its events, and when they came (seconds from the moment the request was sent)."""

    def __init__(self, status, headers):
        self.status = status
        self.headers = headers
        self.events = []
        self.times = []
        self.done = False

    @property
    def first_token_seconds(self):
        return next((at for at, event in zip(self.times, self.events) if _has_token(event)), None)

    @property
    def text(self):
        choices = [choice for event in self.events for choice in event.get("choices") or []]
        return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)

    @property
    def usage(self):
        return next((event["usage"] for event in reversed(self.events) if event.get("usage")), None)

    def tokens(self):
        """(token, log-probability) of every token, of a stream with logprobs."""
        found = []
        for event in self.events:
            for choice in event.get("choices") or []:
                for entry in (choice.get("logprobs") or {}).get("content") or []:
                    found.append((bytes(entry["bytes"]), entry["logprob"]))
        return found


def _has_token(event):
    choices = event.get("choices") or []
    return any(c.get("text") or c.get("delta", {}).get("content") for c in choices)


def cached_by_tier(headers):
    """What Cache-Status tells: {"host": tokens, "disk": tokens, "computed": tokens}."""
    detail = headers.get("cache-status", "")
    return {name: int(count) for name, count in re.findall(r"(host|disk|computed)=(\d+)", detail)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LocalServer:
    """`kvasir serve` on a free port. start() returns when it is ready; the log goes to `log`."""

    ready_path = "/readyz"
    poll_seconds = 0.02  # between two looks whether it is ready

    def __init__(self, binary, options, log):
        self.binary = binary
        self.options = [str(option) for option in options]
        self.log = log
        self.process = None
        self.port = None

    def command(self):
        return [self.binary, "serve", *self.options, "--listen", f"127.0.0.1:{self.port}"]

    def start(self, seconds=60):
        self.port = free_port()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        limit = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.binary} ended with {self.process.returncode}:\n{self.log_text()[-4000:]}")
            if time.monotonic() > limit:
                self.kill()
                raise RuntimeError(f"{self.binary} was not ready in {seconds} s:\n{self.log_text()[-4000:]}")
            time.sleep(self.poll_seconds)
        return self

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get(self.ready_path, timeout=2).status == 200
        return False

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9, and nothing is said to it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self, seconds=60):
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def connection(self, timeout=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=120):
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, _headers(answer), answer.read())
        finally:
            connection.close()

    def get(self, path, timeout=30, headers=None):
        return self.request("GET", path, headers=headers, timeout=timeout)

    def post(self, path, body, headers=None, timeout=300):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})}, timeout)

    def stream(self, path, body, headers=None, timeout=300):
        """Posts with "stream": true and reads all events."""
        connection = self.connection(timeout)
        try:
            data = json.dumps({**body, "stream": True}).encode()
            begin = time.perf_counter()
            connection.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            reply = StreamReply(answer.status, _headers(answer))
            for line in answer:
                if not line.startswith(b"data: "):
                    continue
                if line.strip() == b"data: [DONE]":
                    reply.done = True
                    break
                reply.times.append(time.perf_counter() - begin)
                reply.events.append(json.loads(line[6:]))
            return reply
        finally:
            connection.close()

    def model(self):
        return self.get("/v1/models").json()["data"][0]["id"]

    def metrics(self):
        """{"name{label=value,...}": number} of every sample, labels in the order of the page."""
        samples = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, name, **labels):
        """The sum of the samples of one name that carry these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(value for sample, value in self.metrics().items()
                   if sample.split("{")[0] == name and all(pair in sample for pair in wanted))

    def resident_bytes(self, field="VmRSS"):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith(field + ":"))
        return int(line.split()[1]) * 1024


def _headers(answer):
    return {name.lower(): value for name, value in answer.getheaders()}


def long_text(words, seed=0):
    """Plain English-looking text of so many words, the same for the same seed; a word is about 1.3 tokens."""
    vocabulary = ("the river runs past an old mill where people met each morning to trade bread fish and news "
                  "while children played near water birds crossed low over fields and nobody thought that this "
                  "place would change before winter came with its long nights and stories told by a fire").split()
    state = seed * 2654435761 + 12345
    chosen = []
    for _ in range(words):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        chosen.append(vocabulary[(state >> 33) % len(vocabulary)])
    sentences = [" ".join(chosen[i:i + 12]).capitalize() + "." for i in range(0, len(chosen), 12)]
    return " ".join(sentences)
