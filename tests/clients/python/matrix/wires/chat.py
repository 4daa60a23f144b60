"""Chat completions, through OpenAI's SDK."""

import base64
import json

import openai

from ..conversation import Call, Results, Said, System, Usage, User, ask
from ..outcome import equal

STOPS = {"stop": "end", "length": "length", "tool_calls": "tools", "content_filter": "refusal"}
# What errors of a status are raised as; others are plain `APIStatusError`s.
RAISES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
}


class Chat:
    name = "chat"
    overloaded = 503
    error = openai.APIError
    cut = openai.APIError

    def __init__(self, url, key):
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=30)

    def say(self, ask):
        arguments = parameters(ask)
        if not ask.stream:
            return heard(self.client.chat.completions.create(**arguments))
        arguments["stream_options"] = {"include_usage": True}
        with self.client.chat.completions.stream(**arguments) as stream:
            for _ in stream:
                pass
            return heard(stream.current_completion_snapshot)

    def status(self, error):
        return openai_status(error)

    def check_uncounted(self, model):
        """A stream that was asked for no usage has none, nor the chunk that would carry it."""
        chunks = list(self.client.chat.completions.create(**parameters(ask(model, "Count not.")), stream=True))
        assert all("usage" not in chunk.model_fields_set for chunk in chunks), chunks
        # Azure has a chunk of its own kind, ahead of the answer.
        told = [chunk for chunk in chunks if "prompt_filter_results" not in (chunk.model_extra or {})]
        assert all(chunk.choices for chunk in told), told
        equal("".join(chunk.choices[0].delta.content or "" for chunk in told), "Count not.", "the answer")


def openai_status(error):
    """The status behind an SDK's error, once it is raised as what its users catch. None: it is something else."""
    if not isinstance(error, openai.APIStatusError):
        return None
    wanted = RAISES.get(error.status_code, openai.APIStatusError)
    assert isinstance(error, wanted), f"{error.status_code} is raised as {type(error)}"
    assert isinstance(error.body, dict) and error.body.get("message"), f"no error object: {error.body}"
    return error.status_code


def parameters(asked):
    messages = [{"role": "system", "content": asked.system}] if asked.system else []
    for turn in asked.turns:
        messages += said(turn)
    arguments = {"model": asked.model, "messages": messages}
    if asked.tools:
        arguments["tools"] = [{"type": "function", "function": function(tool)} for tool in asked.tools]
    if asked.force:
        arguments["tool_choice"] = {"type": "function", "function": {"name": asked.force}}
    if not asked.parallel:
        arguments["parallel_tool_calls"] = False
    if asked.max_tokens:
        arguments["max_completion_tokens"] = asked.max_tokens
    if asked.stop:
        arguments["stop"] = [asked.stop]
    if asked.schema:
        schema = {"name": "weather", "strict": True, "schema": asked.schema}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    if asked.think:
        arguments["reasoning_effort"] = "medium"
    return arguments


def function(tool):
    return {"name": tool.name, "description": tool.description, "parameters": tool.schema}


def said(turn):
    match turn:
        case User():
            return [{"role": "user", "content": content(turn)}]
        case System():
            return [{"role": "system", "content": turn.text}]
        case Results():
            return [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text in turn.of]
        case Said():
            return [turn.turn]


def content(user):
    parts = [{"type": "text", "text": user.text}]
    parts += [image(data_url("image/png", data)) for data in user.images]
    parts += [image(url) for url in user.image_urls]
    for data in user.pdfs:
        file = {"filename": "page.pdf", "file_data": data_url("application/pdf", data)}
        parts.append({"type": "file", "file": file})
    return parts if len(parts) > 1 else user.text


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def data_url(kind, data):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def heard(completion):
    choice = completion.choices[0]
    message = choice.message
    calls = [
        Call(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []
    ]
    stop = "refusal" if message.refusal else STOPS.get(choice.finish_reason, choice.finish_reason)
    counts = completion.usage
    usage = None
    if counts:
        assert counts.total_tokens == counts.prompt_tokens + counts.completion_tokens, counts
        cached = counts.prompt_tokens_details and counts.prompt_tokens_details.cached_tokens
        usage = Usage(counts.prompt_tokens, cached or 0, counts.completion_tokens)
    thoughts = (message.model_extra or {}).get("reasoning_content") or ""
    text = message.content or message.refusal or ""
    return Said(text, thoughts, calls, stop, usage, replayed(message), completion.model)


def replayed(message):
    """The message without what the SDK's own parsing adds."""
    turn = message.model_dump(exclude_none=True, exclude={"parsed"})
    for call in turn.get("tool_calls", []):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    return turn
