"""Servers for the end-to-end tests: the real binary, the real model, real sockets."""

import json
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from local_server import LocalServer  # noqa: E402

BINARY = os.environ.get("KVASIR_BINARY", os.path.join(ROOT, "build", "release", "kvasir"))
MODEL_FILE = os.environ.get("KVASIR_MODEL", os.path.join(ROOT, "models", "SmolLM2-135M-Instruct.Q4_1.gguf"))
MODEL = "smollm2"
GIB = 1 << 30


def configuration(folder, host="512MiB", disk="4GiB", disk_path=None, **sections):
    """A whole configuration as a value; sections replace or extend the top-level keys."""
    base = {"models": [{"name": MODEL, "path": MODEL_FILE}],
            "cache": {"tiers": {"host": {"capacity": host},
                                "disk": {"path": os.path.join(folder, "cache") if disk_path is None else disk_path,
                                         "capacity": disk}}},
            "limits": {"drain_timeout": "5s"}}
    for name, section in sections.items():
        base[name] = {**base[name], **section} if isinstance(section, dict) and name in base else section
    return base


@pytest.fixture(scope="session", autouse=True)
def needs_the_real_thing():
    if not os.path.exists(MODEL_FILE):
        pytest.skip(f"no model in {MODEL_FILE}; ./test fetches it")
    assert os.path.exists(BINARY), f"{BINARY} is not built; ./test builds it"


class Servers:
    """Makes servers over one folder and ends them all."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.made = []

    def make(self, **sections):
        path = os.path.join(self.folder, f"config-{len(self.made)}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(configuration(self.folder, **sections), file, indent=1)  # JSON is YAML too
        server = LocalServer(BINARY, ["--config", path], os.path.join(self.folder, f"log-{len(self.made)}"))
        self.made.append(server)
        return server

    def start(self, **sections):
        return self.make(**sections).start()

    def end(self):
        for server in self.made:
            if server.is_running():
                server.kill()


@pytest.fixture
def servers(tmp_path):
    made = Servers(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the tests of a file that only ask it things."""
    made = Servers(tmp_path_factory.mktemp("kvasir"))
    started = made.start()
    yield started
    assert started.is_running(), started.log_text()[-4000:]
    made.end()


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("error"))
