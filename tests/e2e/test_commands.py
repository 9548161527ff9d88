"""The command line: JSON lines in and out in order, and exit codes that mean something."""

import json
import os
import subprocess

import pytest
from conftest import BINARY, MODEL_FILE, ROOT


def kvasir(*arguments, text="", seconds=120):
    return subprocess.run([BINARY, *map(str, arguments)], input=text, capture_output=True, text=True, timeout=seconds,
                          check=False)


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def answers(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


COMMANDS = [[], ["serve"], ["config"], ["config", "check"], ["tokenize"], ["render"], ["score"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    done = kvasir(*command, "--help")
    assert done.returncode == 0 and "--help" in done.stdout


def test_version():
    done = kvasir("--version")
    assert done.returncode == 0 and done.stdout.startswith("kvasir 0.")


@pytest.mark.parametrize("command", [["dance"], ["serve", "--dance"], [], ["config", "check"], ["tokenize"]])
def test_a_wrong_command_line(command):
    done = kvasir(*command)
    assert done.returncode >= 100 and done.stderr


def test_config_check(tmp_path):
    good = kvasir("config", "check", os.path.join(ROOT, "config", "kvasir.yaml"))
    assert good.returncode == 0 and good.stdout
    file = tmp_path / "bad.yaml"
    file.write_text("listen: 127.0.0.1:8080\ncache:\n  polcy: lru\n  tiers: {host: {capacity: much}}\n")
    bad = kvasir("config", "check", file)
    assert bad.returncode == 2 and not bad.stdout
    lines = bad.stderr.splitlines()
    assert lines[0].startswith(f"{file}:3: cache.polcy: unknown key, did you mean 'policy'? (allowed: ")
    assert lines[1].startswith(f"{file}:4: cache.tiers.host.capacity: 'much' is not allowed (allowed: ")
    assert kvasir("config", "check", tmp_path / "missing.yaml").returncode == 2


def test_serve_refuses_what_it_cannot_serve(tmp_path):
    listen = ["--listen", "127.0.0.1:0", "--cache-dir", tmp_path / "cache"]
    assert kvasir("serve", *listen).returncode == 2
    missing = kvasir("serve", *listen, "--model", tmp_path / "missing.gguf")
    assert missing.returncode in (1, 2) and "missing.gguf" in missing.stderr
    garbage = tmp_path / "garbage.gguf"
    garbage.write_bytes(b"GGUF" + os.urandom(1000))
    refused = kvasir("serve", *listen, "--model", garbage)
    assert refused.returncode == 2 and "garbage.gguf" in refused.stderr
    bad = tmp_path / "bad.yaml"
    bad.write_text("surprise: 1\n")
    refused = kvasir("serve", "--config", bad)
    assert refused.returncode == 2 and f"{bad}:1: surprise: unknown key" in refused.stderr
    away = kvasir("serve", "--model", MODEL_FILE, "--listen", "192.0.2.1:80", "--cache-dir", tmp_path / "other")
    assert away.returncode == 1 and "192.0.2.1" in away.stderr


def test_tokenize_both_ways():
    texts = ["Hello, world.", "", "1234 naïve  \n\n tabs\t", "<|im_start|>user"]
    done = kvasir("tokenize", "--model", MODEL_FILE, text=json_lines({"text": text} for text in texts))
    assert done.returncode == 0, done.stderr
    ids = [row["ids"] for row in answers(done)]
    assert len(ids) == len(texts) and ids[1] == []
    special = kvasir("tokenize", "--model", MODEL_FILE, "--special", text=json_lines([{"text": texts[3]}]))
    assert len(answers(special)[0]["ids"]) < len(ids[3])
    back = kvasir("tokenize", "--model", MODEL_FILE, "--detokenize", text=json_lines({"ids": row} for row in ids))
    assert back.returncode == 0 and [row["text"] for row in answers(back)] == texts


def test_render(tmp_path):
    template = tmp_path / "t.jinja"
    template.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{{ strftime_now('%Y') }}")
    row = {"template": str(template), "messages": [{"role": "user", "content": "hi"}], "now": "2024-05-06T07:08:09"}
    broken = tmp_path / "broken.jinja"
    broken.write_text("{% for %}")
    done = kvasir("render", text=json_lines([row, {**row, "template": str(broken)}, row]))
    rendered, error, again = answers(done)
    assert rendered == again == {"rendered": "[user] hi\n2024"} and set(error) == {"error"}


def test_score_is_the_same_for_text_and_ids_and_for_both_backends_nearly():
    text = "The capital of France is"
    ids = answers(kvasir("tokenize", "--model", MODEL_FILE, text=json_lines([{"text": text}])))[0]["ids"]
    rows = json_lines([{"text": text}, {"ids": ids}])
    done = kvasir("score", "--model", MODEL_FILE, "--greedy", 4, "--top", 3, text=rows)
    assert done.returncode == 0, done.stderr
    by_text, by_ids = answers(done)
    assert by_text == by_ids and by_ids["ids"] == ids
    assert len(by_ids["top"]) == 3 and len(by_ids["greedy_ids"]) == 4 and by_ids["top"][0][0] == by_ids["greedy_ids"][0]
    oracle = answers(kvasir("score", "--model", MODEL_FILE, "--backend", "reference", "--top", 1, text=rows))[0]
    assert abs(oracle["mean_nll"] - by_ids["mean_nll"]) < 0.05 * oracle["mean_nll"]
    bad = kvasir("score", "--model", MODEL_FILE, text=json_lines([{"ids": [-1]}, {"ids": ids}]))
    assert bad.returncode == 1 and "error" in answers(bad)[0] and "top" in answers(bad)[1]
