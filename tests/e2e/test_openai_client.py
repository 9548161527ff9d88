"""The official client against a real server: what it sends, what it reads, what it raises."""

import hashlib
import math

import openai
import pytest
from conftest import MODEL
from support import holding, idle, wait_until

PROMPT = [{"role": "user", "content": "Name three colours, then stop."}]


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0, timeout=120)


def test_chat(client):
    answer = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=24, temperature=0)
    assert answer.object == "chat.completion" and answer.model == MODEL and answer.id.startswith("chatcmpl-")
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content and choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens <= 24
    assert usage.prompt_tokens_details.cached_tokens is not None


def test_stream_says_what_the_whole_answer_says(client):
    whole = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=24, temperature=0)
    chunks = list(client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=24, temperature=0,
                                                 stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert len({c.id for c in chunks}) == 1 and all(c.object == "chat.completion.chunk" for c in chunks)
    assert all(c.usage is None for c in chunks)


def test_usage_chunk_comes_last_and_only_when_asked_for(client):
    chunks = list(client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=8, stream=True,
                                                 stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens >= 0
    assert all(c.usage is None for c in chunks[:-1])


def test_a_second_asking_is_cached_and_counted(client):
    messages = [{"role": "user", "content": "Count the legs of a spider. " * 30}]
    first = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=2, temperature=0)
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, max_tokens=2, temperature=0)
    again = raw.parse()
    cached = again.usage.prompt_tokens_details.cached_tokens
    assert first.usage.prompt_tokens_details.cached_tokens < cached < again.usage.prompt_tokens
    assert again.choices[0].message.content == first.choices[0].message.content
    assert raw.headers["cache-status"].startswith("kvasir; hit") and f"host={cached}" in raw.headers["cache-status"]


def test_stop_string_ends_the_answer_and_is_not_in_it(client):
    free = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=40, temperature=0)
    words = free.choices[0].message.content.split()
    stop = words[2]
    stopped = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=40, temperature=0, stop=[stop])
    assert stopped.choices[0].finish_reason == "stop"
    text = free.choices[0].message.content
    assert stopped.choices[0].message.content == text[:text.index(stop)]
    streamed = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=40, temperature=0, stop=[stop],
                                              stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in streamed) == stopped.choices[0].message.content


def test_seed_repeats_and_another_seed_does_not(client):
    def ask(seed):
        answer = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=24, temperature=1.5, seed=seed)
        return answer.choices[0].message.content

    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in range(4)}) > 1


def test_logprobs_are_of_the_tokens_and_sorted(client):
    answer = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=8, temperature=0, logprobs=True,
                                            top_logprobs=5)
    entries = answer.choices[0].logprobs.content
    assert 0 < len(entries) <= 8
    text = b"".join(bytes(entry.bytes) for entry in entries).decode()
    assert text.startswith(answer.choices[0].message.content)
    for entry in entries:
        top = [other.logprob for other in entry.top_logprobs]
        assert len(top) == 5 and top == sorted(top, reverse=True) and top[0] <= 0
        assert entry.token == entry.top_logprobs[0].token and entry.logprob == top[0]  # greedy
        assert sum(math.exp(value) for value in top) <= 1.0001


def test_n_choices_stream_and_whole(client):
    answer = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=8, n=2, temperature=1.2, seed=3)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].message.content != answer.choices[1].message.content
    texts = {0: "", 1: ""}
    for chunk in client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=8, n=2, temperature=1.2,
                                                seed=3, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == {choice.index: choice.message.content for choice in answer.choices}


def test_completions_of_text_and_of_token_ids_agree(client, server):
    text = "Once upon a time there was a small"
    ids = server.post("/tokenize", {"model": MODEL, "prompt": text}).json()["tokens"]
    by_text = client.completions.create(model=MODEL, prompt=text, max_tokens=12, temperature=0)
    by_ids = client.completions.create(model=MODEL, prompt=ids, max_tokens=12, temperature=0)
    assert by_text.object == "text_completion"
    assert by_text.choices[0].text == by_ids.choices[0].text != ""
    assert by_ids.usage.prompt_tokens == len(ids)
    back = server.post("/detokenize", {"model": MODEL, "tokens": ids}).json()
    assert back["prompt"] == text


def test_completions_of_several_prompts_stream(client):
    stream = client.completions.create(model=MODEL, prompt=["One two three", "A B C D"], max_tokens=6, temperature=0,
                                       stream=True)
    texts = {0: "", 1: ""}
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert all(texts.values())


def test_models(client):
    assert [model.id for model in client.models.list().data] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL


def error_of(call):
    with pytest.raises(openai.APIStatusError) as raised:
        call()
    body = raised.value.response.json()["error"]
    assert set(body) == {"message", "type", "param", "code"} and body["message"]
    return raised.value, body


def test_error_400(client):
    error, body = error_of(lambda: client.chat.completions.create(model=MODEL, messages=PROMPT, temperature=9))
    assert isinstance(error, openai.BadRequestError) and body["type"] == "invalid_request_error"
    assert body["param"] == "temperature" and "2" in body["message"]
    error, body = error_of(lambda: client.chat.completions.create(model=MODEL, messages=[]))
    assert isinstance(error, openai.BadRequestError) and body["param"] == "messages"


def test_error_400_prompt_over_the_context(client):
    error, body = error_of(lambda: client.completions.create(model=MODEL, prompt=[1] * 20_000, max_tokens=1))
    assert isinstance(error, openai.BadRequestError)
    assert "20000" in body["message"].replace(",", "") and body["code"] == "context_length_exceeded"


def test_error_404(client):
    error, body = error_of(lambda: client.chat.completions.create(model="nobody", messages=PROMPT))
    assert isinstance(error, openai.NotFoundError) and body["code"] == "model_not_found"
    error, _ = error_of(lambda: client.models.retrieve("nobody"))
    assert error.status_code == 404


def test_error_413(servers):
    small = servers.start(limits={"body_bytes": "64KiB"})
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{small.port}/v1", api_key="none", max_retries=0)
    messages = [{"role": "user", "content": "x" * 100_000}]
    error, body = error_of(lambda: client.chat.completions.create(model=MODEL, messages=messages))
    assert error.status_code == 413 and body["type"] == "invalid_request_error"


def test_error_401_and_what_a_key_gives(servers):
    key = "sk-of-hr"
    sha256 = hashlib.sha256(key.encode()).hexdigest()
    guarded = servers.start(tenants=[{"name": "hr", "keys": [{"sha256": sha256}]}])

    def client_with(api_key):
        return openai.OpenAI(base_url=f"http://127.0.0.1:{guarded.port}/v1", api_key=api_key, max_retries=0)

    wrong = client_with("sk-wrong")
    error, body = error_of(lambda: wrong.chat.completions.create(model=MODEL, messages=PROMPT))
    assert isinstance(error, openai.AuthenticationError) and body["code"] == "invalid_api_key"
    assert "sk-wrong" not in body["message"]
    assert isinstance(error_of(wrong.models.list)[0], openai.AuthenticationError)
    right = client_with(key).chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=4)
    assert right.choices[0].message.content
    assert guarded.get("/readyz").status == 200


def test_error_429_when_the_queue_is_full(servers):
    narrow = servers.start(limits={"requests_running": 1, "requests_waiting": 1})
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{narrow.port}/v1", api_key="none", max_retries=0)
    endless = {"model": MODEL, "prompt": "Once upon a time", "max_tokens": 1500, "ignore_eos": True}
    with holding(narrow, endless), holding(narrow, endless):
        wait_until(lambda: narrow.metric("kvasir_sequences_running") == 1, what="one that runs")
        wait_until(lambda: narrow.metric("kvasir_sequences_waiting") == 1, what="one that waits")
        error, body = error_of(lambda: client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=1))
        assert isinstance(error, openai.RateLimitError)
        assert body["type"] == "rate_limit_error" and body["code"] == "rate_limit_exceeded"
        assert int(error.response.headers["retry-after"]) >= 1
    wait_until(lambda: idle(narrow), what="the queue to empty")
    assert client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=1).choices
