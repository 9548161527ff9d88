"""kvasir and llama-server as the benches over HTTP start them, with the options that those benches share."""

import contextlib
import os
import tempfile

from models import TYPES, model_file
from peers import KVASIR, LlamaServer, LocalServer, cores

FOLDER = tempfile.TemporaryDirectory(prefix="kvasir-bench-")


def add_common(arguments, rounds=5):
    arguments.add_argument("--threads", type=int, default=cores())
    arguments.add_argument("--rounds", type=int, default=rounds)
    arguments.add_argument("--type", choices=TYPES, default="Q4_1", help="kvasir's model")
    arguments.add_argument("--llama-type", choices=TYPES, default="Q8_0", help="llama-server's: its fastest here")
    arguments.add_argument("--json", action="store_true", help="a line per figure instead of a table")


def _new_path(name):
    return os.path.join(FOLDER.name, f"{len(os.listdir(FOLDER.name))}-{name}")


def kvasir_server(chosen, config="log:\n  level: info\n"):
    """With these lines of configuration; its cache is a new folder."""
    config_file, cache = _new_path("config.yaml"), _new_path("cache")
    with open(config_file, "w", encoding="utf-8") as file:
        file.write(config)
    os.mkdir(cache)
    return LocalServer(KVASIR, ["--config", config_file, "--model", model_file(chosen.type), "--cache-dir", cache,
                                "--threads", chosen.threads], _new_path("kvasir.log"))


def llama_server(chosen, options):
    return LlamaServer(["-m", model_file(chosen.llama_type), "--threads", chosen.threads, "-fa", "on", *options],
                       _new_path("llama.log"))


@contextlib.contextmanager
def running(servers):
    servers = list(servers)
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.kill()
