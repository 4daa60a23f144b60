"""The official Anthropic SDK through the gateway: plain, streams, tools, counting, models, errors."""

import anthropic
import httpx2
import pytest

MODEL = "claude-sonnet-5"
TOOLS = [
    {
        "name": "get_weather",
        "description": "The weather of a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


@pytest.fixture
def client(gateway_url, api_key):
    return anthropic.Anthropic(base_url=gateway_url, api_key=api_key, max_retries=0, timeout=20)


def ask(client, text="Say something", **more):
    return client.messages.create(
        model=MODEL, max_tokens=256, messages=[{"role": "user", "content": text}], **more
    )


def test_plain(client):
    message = ask(client, "The quick brown fox")
    assert isinstance(message, anthropic.types.Message)
    assert "The quick brown fox" in message.content[0].text
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    assert message._request_id


def test_stream(client):
    with client.messages.stream(
        model=MODEL, max_tokens=256, messages=[{"role": "user", "content": "grüße, 世界 🦀"}]
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "grüße, 世界 🦀" in text
    assert final.content[0].text == text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0


def test_raw_stream_events_are_typed_and_in_order(client):
    events = [event.type for event in ask(client, stream=True)]
    assert events[0] == "message_start"
    assert events[-2:] == ["message_delta", "message_stop"]
    assert "content_block_delta" in events


@pytest.mark.parametrize("stream", [False, True])
def test_tool_use(client, stream):
    arguments = dict(
        model=MODEL,
        max_tokens=256,
        tools=TOOLS,
        tool_choice={"type": "tool", "name": "get_weather"},
        messages=[{"role": "user", "content": "The weather of Oslo?"}],
    )
    if stream:
        with client.messages.stream(**arguments) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(**arguments)
    assert message.stop_reason == "tool_use"
    calls = [block for block in message.content if block.type == "tool_use"]
    assert calls and calls[0].name == "get_weather"
    assert isinstance(calls[0].input, dict) and calls[0].id

    answer = client.messages.create(
        model=MODEL,
        max_tokens=256,
        tools=TOOLS,
        messages=arguments["messages"]
        + [
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": calls[0].id, "content": "rain"}],
            },
        ],
    )
    assert answer.content


def test_a_system_prompt_in_mid_conversation_stays_there(client):
    """Opus takes it behind what the user says. The emulator says all system prompts."""
    answer = client.messages.create(
        model="claude-opus-5",
        max_tokens=256,
        system="You are terse.",
        messages=[
            {"role": "user", "content": "Say the system prompt."},
            {"role": "system", "content": "Be kind."},
        ],
    )
    assert answer.content[0].text == "You are terse.\nBe kind."


def test_count_tokens(client):
    count = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "How many?"}])
    assert count.input_tokens > 0


def test_models(client):
    models = [model.id for model in client.models.list(limit=1000)]
    assert any(model.startswith("claude-") for model in models)


def test_wrong_key(gateway_url):
    client = anthropic.Anthropic(base_url=gateway_url, api_key="sk-" + "0" * 64, max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as raised:
        ask(client)
    assert raised.value.body["type"] == "error"
    assert raised.value.body["error"]["type"] == "authentication_error"


def test_unknown_model(client):
    with pytest.raises(anthropic.NotFoundError) as raised:
        client.messages.create(model="no-such-model", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert "no-such-model" in raised.value.body["error"]["message"]


def test_the_providers_refusal_comes_through(client, emulator):
    emulator.next({"fault": {"status": {"status": 400, "error": {"message": "max_tokens: too many"}}}})
    with pytest.raises(anthropic.BadRequestError) as raised:
        ask(client)
    assert raised.value.body["error"]["message"] == "max_tokens: too many"


@pytest.mark.parametrize("stream", [False, True])
def test_an_overloaded_provider(client, emulator, stream):
    emulator.always({"fault": {"status": {"status": 500}}})
    with pytest.raises(anthropic.InternalServerError):
        result = ask(client, stream=stream)
        if stream:
            list(result)


def test_an_error_in_mid_stream(client, emulator):
    emulator.next({"chunks": 8, "fault": {"error_event": {"at": {"content": 2}, "status": 529}}})
    seen = []
    with pytest.raises(anthropic.APIStatusError):
        for event in ask(client, "one two three four five six seven eight", stream=True):
            seen.append(event.type)
    assert "content_block_delta" in seen


def test_a_cut_in_mid_stream_ends_as_an_error_not_as_an_answer(client, emulator):
    emulator.next({"chunks": 8, "fault": {"cut": {"content": 2}}})
    seen = []
    with pytest.raises(httpx2.RemoteProtocolError):
        for event in ask(client, "one two three four five six seven eight", stream=True):
            seen.append(event.type)
    assert "content_block_delta" in seen and "message_stop" not in seen
