"""kvasir simulate end to end: a trace made here, every kind of question, and exit codes."""

import json
import subprocess

import pytest
from conftest import BINARY, MODEL_FILE
from support import answer, cached_tokens, chat_body


def simulate(*arguments):
    return subprocess.run([BINARY, "simulate", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          check=False)


def rows(*arguments):
    done = simulate("--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(name="trace")
def make_trace(tmp_path):
    """20 sessions in turn, each of 30 requests that add a block of 16 tokens to a shared beginning of two."""
    file = tmp_path / "made.jsonl"
    with file.open("w") as out:
        for turn in range(30):
            for session in range(20):
                ids = [0, 1] + [100 + 1000 * session + i for i in range(turn)]
                json.dump({"timestamp_ms": 1000 * (20 * turn + session), "input_tokens": 16 * len(ids),
                           "output_tokens": 10, "hash_ids": ids, "session": str(session)}, out)
                out.write("\n")
    return file


def test_capacities_and_policies(trace):
    found = rows("--trace", trace, "--capacity", "10%,100%", "--policy", "lru,value")
    assert [(row["capacity_blocks"], row["policy"]) for row in found] == [
        (58, "lru"), (58, "value"), (582, "lru"), (582, "value")]
    assert all(row["requests"] == 600 and row["trace"] == "made" and row["block_tokens"] == 16 for row in found)
    for row in found[2:]:  # all but the first use of each block
        assert row["hit_blocks"] == row["block_uses"] - 582
        assert row["token_hit_ratio"] == row["opt_token_hit_ratio"] == row["infinite_token_hit_ratio"]
    assert found[0]["token_hit_ratio"] <= found[0]["opt_token_hit_ratio"]


def test_find_is_the_smallest(trace):
    (found,) = rows("--trace", trace, "--policy", "lru", "--find", "0.5")
    assert found["found"] and found["token_hit_ratio"] >= 0.5
    (less,) = rows("--trace", trace, "--policy", "lru", "--capacity", found["capacity_blocks"] - 1)
    assert less["token_hit_ratio"] < 0.5
    assert not rows("--trace", trace, "--policy", "lru", "--find", "1")[0]["found"]


def test_scale_brings_more_sessions(trace):
    (ten,) = rows("--trace", trace, "--policy", "lru", "--capacity", "100%", "--scale", "10")
    assert ten["requests"] == 6000 and ten["unique_blocks"] == 2 + 10 * 580


def test_tiers_in_bytes(trace):
    (row,) = rows("--trace", trace, "--policy", "value", "--tier", "host=64MiB", "--tier", "disk=1GiB", "--model",
                  MODEL_FILE)
    assert row["regime"] == "pinned" and row["capacity_bytes"] <= 64 << 20
    assert row["host_token_hit_ratio"] + row["disk_token_hit_ratio"] == pytest.approx(row["token_hit_ratio"], abs=1e-5)
    assert row["bytes_written"] > 0 and row["disk_bytes_written_per_day"] > 0


def test_table_and_chart(trace, tmp_path):
    chart = tmp_path / "curves.svg"
    done = simulate("--trace", trace, "--chart", chart)
    assert done.returncode == 0 and "gap closed" in done.stdout
    assert chart.read_text().startswith("<svg") and "optimum" in chart.read_text()


@pytest.mark.parametrize("arguments", [["--policy", "fifo"], ["--capacity", "0%"], ["--capacity", "101%"],
                                       ["--capacity", "8GiB"], ["--tier", "host=1GiB"], ["--tier", "tape=1GiB"]])
def test_what_cannot_be_used_is_named(trace, arguments):
    done = simulate("--trace", trace, *arguments)
    assert done.returncode == 2 and arguments[1].split("=")[0] in done.stderr


def test_a_bad_trace_is_named(tmp_path):
    (tmp_path / "bad.jsonl").write_text("{}\n")
    done = simulate("--trace", tmp_path / "bad.jsonl")
    assert done.returncode == 2 and "bad.jsonl line 1: timestamp_ms" in done.stderr


def test_what_a_server_records(servers, tmp_path):
    """A chat of two turns: what the server found of the second is what the simulator finds."""
    recorded = tmp_path / "recorded.jsonl"
    server = servers.start(cache={"trace_file": str(recorded)})
    first = {"role": "user", "content": "Count the ships: " + " ".join(str(i) for i in range(60))}
    said = answer(server, chat_body("", 40, messages=[first]))
    again = answer(server, chat_body("", 40, messages=[first, {"role": "assistant", "content": said["text"]},
                                                       {"role": "user", "content": "And the boats?"}]))
    server.stop()
    requests = [json.loads(line) for line in recorded.read_text().splitlines()]
    assert [r["input_tokens"] for r in requests] == [r["usage"]["prompt_tokens"] for r in (said, again)]
    assert [r["output_tokens"] for r in requests] == [r["usage"]["completion_tokens"] for r in (said, again)]
    assert [r["host_tokens"] for r in requests] == [cached_tokens(r) for r in (said, again)]
    assert all(r["finish"] == {"stop": "end_turn", "length": "length"}[a["finish"]]
               for r, a in zip(requests, (said, again)))
    assert "ships" not in recorded.read_text()
    (row,) = rows("--trace", recorded, "--pinned", "--policy", "value", "--capacity", "100000")
    assert row["requests"] == 2 and row["block_tokens"] == 32
    assert row["hit_blocks"] == cached_tokens(again) // 32 > 0
