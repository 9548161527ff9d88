"""Every expression of the dashboard and the alerts, run by Debian's Prometheus while it scrapes a loaded server."""

import json
import math
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest
from conftest import ROOT
from support import chat_body, wait_until

from local_server import free_port, long_text

GRAFANA = os.path.join(ROOT, "grafana")
PROMPTS = 4
LOAD_SECONDS = 9


def expressions():
    with open(os.path.join(GRAFANA, "dashboards", "kvasir.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


class Prometheus:
    def __init__(self, folder, target):
        self.port = free_port()
        config = os.path.join(folder, "prometheus.yml")
        with open(os.path.join(GRAFANA, "prometheus.yml"), encoding="utf-8") as file:
            text = file.read().replace("127.0.0.1:8080", target).replace("15s", "1s")
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        shutil.copy(os.path.join(GRAFANA, "alerts.yml"), folder)
        self.log = open(os.path.join(folder, "prometheus.log"), "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def is_scraping(self):
        try:
            targets = self.get("/api/v1/targets")["data"]["activeTargets"]
        except OSError:
            return False
        return [target["health"] for target in targets] == ["up"]

    def query(self, expression):
        answer = self.get("/api/v1/query", query=expression)
        assert answer["status"] == "success" and answer["data"]["resultType"] == "vector"
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def load(server, seconds):
    """Prompts that are computed, that are in RAM, and that only the disk has."""
    limit = time.monotonic() + seconds

    def ask(first):
        number = first
        while time.monotonic() < limit:
            repeated = server.post("/v1/chat/completions", chat_body(long_text(200, seed=number % PROMPTS), 8))
            fresh = server.post("/v1/chat/completions", chat_body(long_text(100, seed=1000 + number), 8))
            assert (repeated.status, fresh.status) == (200, 200)
            number += 2

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    from conftest import Servers
    folder = tmp_path_factory.mktemp("prometheus")
    made = Servers(folder)
    server = made.start()
    scraper = None
    try:
        for number in range(200, 216):  # on the disk after the restart
            server.post("/v1/chat/completions", chat_body(long_text(100, seed=number), 1))
        server.stop()
        server.start()
        scraper = Prometheus(str(folder), f"127.0.0.1:{server.port}")
        wait_until(scraper.is_scraping, 30, "Prometheus to scrape")
        loader = threading.Thread(target=load, args=(server, LOAD_SECONDS))
        loader.start()
        for number in range(200, 216):
            server.post("/v1/chat/completions", chat_body(long_text(100, seed=number), 1))
            time.sleep(LOAD_SECONDS / 20)
        yield scraper
        loader.join()
    finally:
        if scraper is not None:
            scraper.end()
        made.end()


def runnable(expression):
    return expression.replace("$__rate_interval", "8s").replace("$model", ".*")


@pytest.mark.parametrize("title, expression", list(expressions()))
def test_panel(prometheus, title, expression):
    result = prometheus.query(runnable(expression))
    assert result, f"{title}: no data"
    assert not [row for row in result if math.isnan(row[1])], f"{title}: {result}"


def test_tokens_came_from_every_source(prometheus):
    rates = dict((metric["source"], value) for metric, value in prometheus.query(
        "sum by (source) (increase(kvasir_prompt_tokens_total[30s]))"))
    assert set(rates) == {"host", "disk", "computed"} and all(value > 0 for value in rates.values()), rates


def test_first_tokens_are_counted_by_source(prometheus):
    sources = {metric["source"] for metric, _ in prometheus.query("kvasir_time_to_first_token_seconds_count")}
    assert sources == {"host", "disk", "computed"}


def test_alert_rules_run_and_nothing_is_wrong(prometheus):
    groups = prometheus.get("/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) >= 5
    assert [(rule["name"], rule["health"], rule["state"]) for rule in rules if rule["health"] == "err" or
            rule["state"] == "firing"] == []


def test_the_dashboard_uses_metrics_that_exist(prometheus):
    names = set(prometheus.get("/api/v1/label/__name__/values")["data"])
    used = {name for _, expression in expressions() for name in re.findall(r"\bkvasir_\w+", expression)}
    assert used - names == set()
