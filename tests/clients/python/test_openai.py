"""The official OpenAI SDK through the gateway: chat plain, streams, tools, embeddings, models, errors."""

import gzip
import json

import httpx2
import openai
import pytest

MODEL = "gpt-4o"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


@pytest.fixture
def client(gateway_url, api_key):
    return openai.OpenAI(base_url=f"{gateway_url}/v1", api_key=api_key, max_retries=0, timeout=20)


def ask(client, text="Say something", **more):
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **more)


def test_plain(client):
    completion = ask(client, "The quick brown fox")
    assert "The quick brown fox" in completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion._request_id


class Compressing(httpx2.HTTPTransport):
    def handle_request(self, request):
        body = gzip.compress(request.read())
        headers = {**request.headers, "content-encoding": "gzip", "content-length": str(len(body))}
        return super().handle_request(httpx2.Request(request.method, request.url, headers=headers, content=body))


def test_compressed_request(gateway_url, api_key):
    http_client = httpx2.Client(transport=Compressing())
    client = openai.OpenAI(base_url=f"{gateway_url}/v1", api_key=api_key, max_retries=0, http_client=http_client)
    completion = ask(client, "The quick brown fox")
    assert "The quick brown fox" in completion.choices[0].message.content


def test_stream_without_usage_shows_none(client):
    chunks = list(ask(client, "grüße, 世界 🦀", stream=True))
    assert "grüße, 世界 🦀" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


def test_stream_with_usage_shows_it_last(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.parametrize("stream", [False, True])
def test_tool_use(client, stream):
    arguments = dict(
        model=MODEL,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        messages=[{"role": "user", "content": "The weather of Oslo?"}],
    )
    if stream:
        with client.chat.completions.stream(**arguments) as events:
            for _ in events:
                pass
            completion = events.get_final_completion()
    else:
        completion = client.chat.completions.create(**arguments)
    calls = completion.choices[0].message.tool_calls
    assert calls and calls[0].function.name == "get_weather"
    assert isinstance(json.loads(calls[0].function.arguments), dict)

    answer = client.chat.completions.create(
        model=MODEL,
        tools=TOOLS,
        messages=arguments["messages"]
        + [
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.function.name, "arguments": call.function.arguments},
                    }
                    for call in calls
                ],
            }
        ]
        + [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in calls],
    )
    assert answer.choices


@pytest.mark.parametrize(
    "model, said", [("claude-opus-5", "You are terse.\nBe kind."), ("claude-sonnet-5", "You are terse.")]
)
def test_claude_is_told_in_mid_conversation_by_the_system_where_it_knows_such_and_else_by_the_user(
    client, model, said
):
    """The emulator says all prompts of the system."""
    answer = client.chat.completions.create(
        model=model,
        messages=[
            {"role": "system", "content": "You are terse."},
            {"role": "user", "content": "Say the system prompt."},
            {"role": "system", "content": "Be kind."},
        ],
    )
    assert answer.choices[0].message.content == said


def test_embeddings(client):
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 0
    assert answer.usage.prompt_tokens > 0


def test_models(client):
    models = [model.id for model in client.models.list()]
    assert MODEL in models
    assert client.models.retrieve(MODEL).id == MODEL


def test_wrong_key(gateway_url):
    client = openai.OpenAI(base_url=f"{gateway_url}/v1", api_key="sk-" + "0" * 64, max_retries=0)
    with pytest.raises(openai.AuthenticationError) as raised:
        ask(client)
    assert raised.value.code == "invalid_api_key"


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "x"}])
    assert "no-such-model" in raised.value.message


def test_the_providers_refusal_comes_through(client, emulator):
    emulator.next({"fault": {"status": {"status": 400, "error": {"message": "temperature: too hot"}}}})
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client)
    assert "temperature: too hot" in raised.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_a_broken_provider(client, emulator, stream):
    emulator.always({"fault": {"status": {"status": 500}}})
    with pytest.raises(openai.InternalServerError):
        result = ask(client, stream=stream)
        if stream:
            list(result)


def test_an_error_in_mid_stream(client, emulator):
    emulator.next({"chunks": 8, "fault": {"error_event": {"at": {"content": 2}, "status": 500}}})
    seen = []
    with pytest.raises(openai.APIError):
        for chunk in ask(client, "one two three four five six seven eight", stream=True):
            seen.append(chunk)
    assert seen


def test_a_cut_in_mid_stream_ends_as_an_error_not_as_an_answer(client, emulator):
    emulator.next({"chunks": 8, "fault": {"cut": {"content": 2}}})
    with pytest.raises(openai.APIError):
        list(ask(client, "one two three four five six seven eight", stream=True))
