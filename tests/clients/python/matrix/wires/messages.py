"""Messages, through Anthropic's SDK."""

import base64

import anthropic
import httpx2

from ..conversation import Call, Results, Said, System, Usage, User

STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tools",
    "refusal": "refusal",
}
# What errors of a status are raised as, with the `type` in their bodies.
RAISES = {
    400: (anthropic.BadRequestError, "invalid_request_error"),
    401: (anthropic.AuthenticationError, "authentication_error"),
    403: (anthropic.PermissionDeniedError, "permission_error"),
    404: (anthropic.NotFoundError, "not_found_error"),
    413: (anthropic.ContentTooLargeError, "request_too_large"),
    429: (anthropic.RateLimitError, "rate_limit_error"),
    502: (anthropic.InternalServerError, "api_error"),
    529: (anthropic.OverloadedError, "overloaded_error"),
}
ROOM = 4096


class Messages:
    name = "messages"
    overloaded = 529
    error = anthropic.APIError
    # What a stream that is cut raises: the connection's own error.
    cut = httpx2.RemoteProtocolError

    def __init__(self, url, key):
        self.client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=30)

    def say(self, ask):
        arguments = parameters(ask)
        if not ask.stream:
            return heard(self.client.messages.create(**arguments))
        with self.client.messages.stream(**arguments) as stream:
            return heard(stream.get_final_message())

    def count(self, model, text):
        messages = [{"role": "user", "content": text}]
        return self.client.messages.count_tokens(model=model, messages=messages).input_tokens

    def status(self, error):
        """The status behind an SDK's error, once it is raised as what its users catch. None: it is something else."""
        if not isinstance(error, anthropic.APIStatusError):
            return None
        wanted, kind = RAISES.get(error.status_code, (anthropic.APIStatusError, None))
        assert isinstance(error, wanted), f"{error.status_code} is raised as {type(error)}"
        body = error.body
        assert isinstance(body, dict) and body.get("type") == "error", f"no error object: {body}"
        assert body["error"]["message"] and kind in (None, body["error"]["type"]), body
        return error.status_code


def parameters(ask):
    messages = [said(turn) for turn in ask.turns]
    arguments = {"model": ask.model, "messages": messages, "max_tokens": ask.max_tokens or ROOM}
    if ask.system:
        arguments["system"] = ask.system
    if ask.tools:
        arguments["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in ask.tools
        ]
    if ask.force:
        arguments["tool_choice"] = {"type": "tool", "name": ask.force}
    if not ask.parallel:
        arguments["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
    if ask.stop:
        arguments["stop_sequences"] = [ask.stop]
    if ask.schema:
        arguments["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
    if ask.think:
        arguments["thinking"] = {"type": "adaptive"}
    return arguments


def said(turn):
    match turn:
        case User():
            return {"role": "user", "content": content(turn)}
        case System():
            return {"role": "system", "content": turn.text}
        case Results():
            blocks = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in turn.of]
            return {"role": "user", "content": blocks}
        case Said():
            return {"role": "assistant", "content": turn.turn}


def content(user):
    blocks = [{"type": "text", "text": user.text}]
    blocks += [{"type": "image", "source": source("image/png", data)} for data in user.images]
    blocks += [{"type": "image", "source": {"type": "url", "url": url}} for url in user.image_urls]
    blocks += [{"type": "document", "source": source("application/pdf", data)} for data in user.pdfs]
    return blocks if len(blocks) > 1 else user.text


def source(kind, data):
    return {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode()}


def heard(message):
    blocks = message.content
    calls = [Call(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"]
    text = "".join(block.text for block in blocks if block.type == "text")
    thoughts = "".join(block.thinking for block in blocks if block.type == "thinking")
    counts = message.usage
    cached = counts.cache_read_input_tokens or 0
    read = counts.input_tokens + cached + (counts.cache_creation_input_tokens or 0)
    stop = STOPS.get(message.stop_reason, message.stop_reason)
    # Converse does not tell which one it was.
    assert stop == "stop_sequence" or not message.stop_sequence, f"{stop}, at {message.stop_sequence!r}"
    turn = [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in blocks]
    return Said(text, thoughts, calls, stop, Usage(read, cached, counts.output_tokens), turn, message.model)
