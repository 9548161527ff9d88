"""Tool calls and reasoning through the official client. The default model's own template knows no tools, so a copy of
the file gets one that prints them, and earlier turns show the model what to write."""

import json

import openai
import pytest
from conftest import MODEL, MODEL_FILE, Servers
from gguf_template import with_template

TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system\\n' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.reasoning_content %}{{ '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) }}
{{- '}\\n</tool_call>' }}{% endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]


def shown(number, city):
    """A turn as the model is to write them, with arguments in a spelling that no serializer of a client's has."""
    call = {"id": f"shown{number}", "type": "function",
            "function": {"name": "get_weather", "arguments": f'{{"city":  "{city}"}}'}}
    return [{"role": "user", "content": f"What is the weather in {city}?"},
            {"role": "assistant", "content": None, "reasoning_content": f"I ask for {city}.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
            {"role": "assistant", "content": f"It is sunny in {city}."}]


CITIES = ["Rome", "Paris", "London", "Berlin", "Madrid", "Vienna"]
SHOWN = [message for number, city in enumerate(CITIES) for message in shown(number, city)]
ASKED = SHOWN + [{"role": "user", "content": "What is the weather in Lisbon?"}]
COMMON = {"model": MODEL, "tools": TOOLS, "temperature": 0, "max_tokens": 80}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    file = with_template(MODEL_FILE, str(folder / "tools.gguf"), TEMPLATE)
    made = Servers(folder)
    server = made.start(models=[{"name": MODEL, "path": file}])
    yield openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0, timeout=120)
    made.end()


@pytest.fixture(scope="module")
def answer(client):
    return client.chat.completions.create(messages=ASKED, **COMMON)


def test_a_call_with_its_reasoning(answer):
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.reasoning_content == "I ask for Lisbon."
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "get_weather" and call.id.startswith("call_")
    assert call.function.arguments == '{"city":  "Lisbon"}', "as the model wrote it"
    assert 0 < answer.usage.completion_tokens_details.reasoning_tokens < answer.usage.completion_tokens


def test_the_stream_is_put_together_to_the_same(client, answer):
    with client.chat.completions.stream(messages=ASKED, **COMMON) as stream:
        names = [event.type for event in stream]
        final = stream.get_final_completion()
    choice = final.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,), (whole,) = choice.message.tool_calls, answer.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == (whole.function.name, whole.function.arguments)
    assert call.id != whole.id
    assert names.count("tool_calls.function.arguments.done") == 1
    assert names.count("tool_calls.function.arguments.delta") > 1


def test_reasoning_is_streamed(client, answer):
    chunks = list(client.chat.completions.create(messages=ASKED, stream=True, **COMMON))
    reasoning = "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks)
    assert reasoning == answer.choices[0].message.reasoning_content
    assert not any(c.choices[0].delta.content for c in chunks)


def next_turn(answer, arguments):
    message = answer.choices[0].message
    (call,) = message.tool_calls
    assistant = {"role": "assistant", "content": message.content, "reasoning_content": message.reasoning_content,
                 "tool_calls": [{"id": call.id, "type": "function",
                                 "function": {"name": call.function.name, "arguments": arguments}}]}
    return ASKED + [assistant, {"role": "tool", "tool_call_id": call.id, "content": "rainy"}]


@pytest.mark.parametrize("anew", [False, True], ids=["as_received", "parsed_and_written_anew"])
def test_the_next_turn_finds_all_of_this_one(client, anew):
    first = client.chat.completions.create(messages=ASKED, **COMMON)
    arguments = first.choices[0].message.tool_calls[0].function.arguments
    if anew:
        arguments = json.dumps(json.loads(arguments), separators=(",", ":"))
    second = client.chat.completions.create(messages=next_turn(first, arguments), **COMMON)
    # All but the last tokens of the answer: the one that ended it was never computed.
    whole = first.usage.prompt_tokens + first.usage.completion_tokens
    assert second.usage.prompt_tokens_details.cached_tokens >= whole - 2
    assert "rain" in second.choices[0].message.content


def test_what_the_client_changed_counts_as_changed(client, answer):
    second = client.chat.completions.create(messages=next_turn(answer, '{"city": "Oslo"}'), **COMMON)
    whole = answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert second.usage.prompt_tokens_details.cached_tokens < whole - 2


def test_no_tools_or_none_wanted_is_text(client):
    for more in ({"tool_choice": "none"}, {"tools": openai.NOT_GIVEN}):
        answer = client.chat.completions.create(messages=ASKED, **{**COMMON, **more})
        assert answer.choices[0].message.tool_calls is None
        assert "get_weather" in answer.choices[0].message.content
        assert answer.choices[0].finish_reason == "stop"


def test_a_call_cannot_be_forced(client):
    with pytest.raises(openai.BadRequestError, match="tool_choice"):
        client.chat.completions.create(messages=ASKED, tool_choice="required", **COMMON)
