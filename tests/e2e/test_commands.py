"""The command line: JSON lines in and out in order, and exit codes that mean something."""

import json
import os
import subprocess
import time

import gguf_parts
import pytest
from conftest import BINARY, MODEL_FILE, ROOT


def kvasir(*arguments, text="", seconds=120):
    return subprocess.run([BINARY, *map(str, arguments)], input=text, capture_output=True, text=True, timeout=seconds,
                          check=False)


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def answers(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


COMMANDS = [[], ["serve"], ["config"], ["config", "check"], ["tokenize"], ["render"], ["score"], ["model"],
            ["plan"], ["simulate"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    done = kvasir(*command, "--help")
    assert done.returncode == 0 and "--help" in done.stdout


def test_version():
    done = kvasir("--version")
    assert done.returncode == 0 and done.stdout.startswith("kvasir 0.")


@pytest.mark.parametrize("command", [["dance"], ["serve", "--dance"], [], ["config", "check"], ["tokenize"], ["model"],
                                     ["plan"], ["plan", "--model", "x", "--context", "many"]])
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


def test_render_of_a_chat_request(tmp_path):
    template = tmp_path / "t.jinja"
    template.write_text("{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}"
                        "{% for c in m.tool_calls or [] %}{{ c.function.name }} {{ c.function.arguments | tojson }}"
                        "{% endfor %}{% endfor %}")
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"b":1.0,"a":[]}'}}
    body = {"model": "any", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]},
                                         {"role": "assistant", "content": "so", "tool_calls": [call]}]}
    row = {"template": str(template), "bos_token": "<s>"}
    done = kvasir("render", text=json_lines([{**row, "request": body}, {**row, "request": {"messages": 1}}]))
    rendered, error = answers(done)
    assert rendered == {"rendered": '<s>[user] hi[assistant] sof {"b":1.0,"a":[]}'}
    assert "messages" in str(error["error"])


def test_render_tells_what_the_canonical_rules_did(tmp_path):
    template = tmp_path / "t.jinja"
    template.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}")
    body = {"messages": [{"role": "system", "content": "It is now 2026-07-26 10:00:00."},
                         {"role": "user", "content": "hi"}]}
    row = {"template": str(template), "request": body}
    rows = json_lines([row, {**row, "canonical": {"move_volatile": "on"}}, {**row, "canonical": {"move": "on"}}])
    plain, moved, error = answers(kvasir("render", "--report", text=rows))
    assert plain["canonical"] == [] and plain["rendered"] == "[system] It is now 2026-07-26 10:00:00.\n[user] hi\n"
    assert moved["canonical"] == [{"rule": "move_volatile", "version": 1, "mode": "on", "changes": 1,
                                   "places": ["messages[0]"]}]
    assert moved["conversation"]["messages"][0]["content"] == "It is now [time 1]."
    assert moved["rendered"].endswith("hi\n\n[time 1] = 2026-07-26 10:00:00\n")
    assert "canonical.move" in error["error"]


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


VOCABULARIES = os.path.join(ROOT, "..", "shared", "data", "vocab")


def report_of(path, *options):
    done = kvasir("model", path, "--json", *options)
    return done.returncode, json.loads(done.stdout)


def test_model_describes_the_default_model():
    done = kvasir("model", MODEL_FILE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{MODEL_FILE}: kvasir can serve it\n")
    for line in ("  family          llama", "  heads           9 query, 3 KV, 64 wide",
                 "  model           gpt2, pre smollm", "  BOS             1 <|im_start|>"):
        assert line in done.stdout.splitlines()
    code, report = report_of(MODEL_FILE)
    assert code == 0 and report["served"] and report["problems"] == []
    assert report["file"]["parameters"] == 134515008 and report["tokenizer"]["tokens"] == 49152
    assert report["chat_template"]["compiles"] and "replies" in report["chat_template"]
    cpu = report["memory"][0]
    assert cpu["backend"] == "cpu" and cpu["kv_token_bytes"] == 2 * 30 * 3 * 64 * 2


def test_model_reads_no_weights():
    started = time.monotonic()
    assert kvasir("model", MODEL_FILE, "--json").returncode == 0
    assert time.monotonic() - started < 1
    assert "weights_digest" not in report_of(MODEL_FILE)[1]["file"]


def test_model_refuses_with_a_reason(tmp_path):
    missing = kvasir("model", tmp_path / "missing.gguf")
    assert missing.returncode == 2 and "No such file" in missing.stderr and not missing.stdout
    text = kvasir("model", os.path.join(ROOT, "README.md"))
    assert text.returncode == 2 and "not a GGUF file" in text.stderr
    vocabulary = gguf_parts.vocabulary_only(MODEL_FILE, tmp_path / "vocabulary.gguf")
    code, report = report_of(vocabulary)
    assert code == 1 and report["problems"] == ["the file has no tensors: it holds a vocabulary only"]
    assert report["tokenizer"]["loads"]


@pytest.mark.parametrize("name", ["deepseek-coder", "gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2"])
def test_model_describes_vocabularies(name):
    path = os.path.join(VOCABULARIES, f"ggml-vocab-{name}.gguf")
    if not os.path.exists(path):
        pytest.skip(f"no {path}")
    code, report = report_of(path)
    assert code == 1 and "the file has no tensors: it holds a vocabulary only" in report["problems"]
    assert report["tokenizer"]["loads"], report["problems"]
    assert kvasir("model", path).returncode == 1


def test_a_split_model_is_the_model(tmp_path):
    parts = gguf_parts.split(MODEL_FILE, tmp_path, "split", 3)
    whole = report_of(MODEL_FILE, "--digest")[1]
    for path in (parts[0], parts[2]):
        code, report = report_of(path, "--digest")
        assert code == 0 and [part["path"] for part in report["file"]["parts"]] == parts
        assert report["file"]["weights_digest"] == whole["file"]["weights_digest"]
        assert report["file"]["types"] == whole["file"]["types"]
    rows = json_lines([{"text": "The capital of France is"}])
    options = ["--greedy", 4, "--top", 3]
    assert kvasir("score", "--model", parts[0], *options, text=rows).stdout == \
        kvasir("score", "--model", MODEL_FILE, *options, text=rows).stdout
    os.remove(parts[1])
    gone = kvasir("model", parts[0])
    assert gone.returncode == 2 and os.path.basename(parts[1]) in gone.stderr and "part 2 of 3" in gone.stderr


def plan_of(*options):
    done = kvasir("plan", "--model", MODEL_FILE, "--json", *options)
    return done.returncode, json.loads(done.stdout)


def test_plan_counts(tmp_path):
    code, plan = plan_of("--context", 4096, "--concurrency", 100, "--memory", "16GiB", "--shared-prefix", 1024)
    assert code == 0 and plan["fits"] and plan["load_blocks"] == 32 + 100 * 96
    rows = {row["format"]: row for row in plan["formats"]}
    assert [name for name, row in rows.items() if row["served"]] == ["f16", "f32", "int8"]
    assert rows["f16"]["token_bytes"] == 23040 and rows["f16"]["request_bytes"] == 4096 * 23040
    assert rows["fp8"]["token_bytes"] * 2 == rows["f16"]["token_bytes"]
    assert rows["int8"]["token_bytes"] == 2 * 30 * 3 * (64 + 4)
    file = tmp_path / "plan.yaml"
    file.write_text(plan["yaml"])
    checked = kvasir("config", "check", file)
    assert checked.returncode == 0, checked.stderr
    text = kvasir("plan", "--model", MODEL_FILE, "--context", 4096, "--concurrency", 100, "--memory", "16GiB")
    assert text.returncode == 0 and "100 requests of 4,096 tokens: they fit" in text.stdout.splitlines()[0]


def test_plan_says_what_does_not_fit():
    code, plan = plan_of("--context", 8192, "--concurrency", 100, "--memory", "2GiB")
    assert code == 1 and not plan["fits"] and plan["yaml"] is None
    most, longest = plan["formats"][0]["host"]["concurrency_max"], plan["formats"][0]["context_max"]
    assert plan_of("--context", 8192, "--concurrency", most, "--memory", "2GiB")[0] == 0
    assert plan_of("--context", 8192, "--concurrency", most + 1, "--memory", "2GiB")[0] == 1
    assert plan_of("--context", longest, "--concurrency", 100, "--memory", "2GiB")[0] == 0


@pytest.mark.parametrize("options, words", [
    (["--memory", "lots"], "--memory 'lots' is not a whole number with B, KiB, MiB, GiB or TiB"),
    (["--disk", "10 GB"], "--disk '10 GB'"),
    (["--context", 10000], "--context 10000 is more than the model's context of 8192 tokens"),
    (["--concurrency", 0], "--concurrency 0"),
    (["--block-tokens", 48], "--block-tokens 48 is none of 16, 32, 64 and 128"),
    (["--context", 100, "--shared-prefix", 101], "--shared-prefix 101"),
])
def test_plan_refuses(options, words):
    done = kvasir("plan", "--model", MODEL_FILE, *options)
    assert done.returncode == 2 and words in done.stderr and not done.stdout


def test_plan_needs_a_model(tmp_path):
    vocabulary = gguf_parts.vocabulary_only(MODEL_FILE, tmp_path / "vocabulary.gguf")
    done = kvasir("plan", "--model", vocabulary, "--memory", "1GiB")
    assert done.returncode == 2 and "token_embd.weight" in done.stderr
