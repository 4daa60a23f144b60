"""Responses, through OpenAI's SDK."""

import json

import openai

from ..conversation import Call, Results, Said, System, Usage, User
from .chat import data_url, function, openai_status


class Broken(Exception):
    """A stream that ends in an event that says so, which this SDK hands on like any other."""


class Responses:
    name = "responses"
    overloaded = 503
    error = (openai.APIError, Broken)
    cut = error

    def __init__(self, url, key):
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=30)

    def say(self, ask):
        arguments = parameters(ask)
        if not ask.stream:
            return heard(self.client.responses.create(**arguments))
        with self.client.responses.stream(**arguments) as stream:
            for event in stream:
                if event.type in ("response.failed", "error"):
                    raise Broken(event)
                # Of an answer cut short the SDK tells no final response.
                if event.type in ("response.completed", "response.incomplete"):
                    return heard(event.response)
        raise AssertionError("the stream ended without its last event")

    def status(self, error):
        return openai_status(error)


def parameters(ask):
    items = []
    for turn in ask.turns:
        items += said(turn)
    arguments = {"model": ask.model, "input": items, "store": False}
    if ask.system:
        arguments["instructions"] = ask.system
    if ask.tools:
        arguments["tools"] = [{"type": "function", "strict": True, **function(tool)} for tool in ask.tools]
    if ask.force:
        arguments["tool_choice"] = {"type": "function", "name": ask.force}
    if not ask.parallel:
        arguments["parallel_tool_calls"] = False
    if ask.max_tokens:
        arguments["max_output_tokens"] = ask.max_tokens
    if ask.schema:
        schema = {"type": "json_schema", "name": "weather", "strict": True, "schema": ask.schema}
        arguments["text"] = {"format": schema}
    if ask.think:
        arguments["reasoning"] = {"effort": "medium", "summary": "auto"}
        arguments["include"] = ["reasoning.encrypted_content"]
    return arguments


def said(turn):
    match turn:
        case User():
            return [{"role": "user", "content": content(turn)}]
        case System():
            return [{"role": "system", "content": turn.text}]
        case Results():
            return [{"type": "function_call_output", "call_id": call.id, "output": text} for call, text in turn.of]
        case Said():
            return turn.turn


def content(user):
    parts = [{"type": "input_text", "text": user.text}]
    parts += [{"type": "input_image", "image_url": data_url("image/png", data)} for data in user.images]
    parts += [{"type": "input_image", "image_url": url} for url in user.image_urls]
    parts += [
        {"type": "input_file", "filename": "page.pdf", "file_data": data_url("application/pdf", data)}
        for data in user.pdfs
    ]
    return parts if len(parts) > 1 else user.text


def heard(response):
    calls, thoughts, refusals = [], "", ""
    for item in response.output:
        if item.type == "function_call":
            calls.append(Call(item.call_id, item.name, json.loads(item.arguments)))
        elif item.type == "reasoning":
            thoughts += "".join(part.text for part in item.summary)
            thoughts += "".join(part.text for part in item.content or [])
        elif item.type == "message":
            refusals += "".join(part.refusal for part in item.content if part.type == "refusal")
    usage = None
    if response.usage:
        counts = response.usage
        assert counts.total_tokens == counts.input_tokens + counts.output_tokens, counts
        usage = Usage(counts.input_tokens, counts.input_tokens_details.cached_tokens, counts.output_tokens)
    turn = [replayed(item) for item in response.output]
    text, why = response.output_text or refusals, stop(response, calls, refusals)
    return Said(text, thoughts, calls, why, usage, turn, response.model)


def stop(response, calls, refusals):
    if response.status == "incomplete":
        why = response.incomplete_details.reason
        return {"max_output_tokens": "length", "content_filter": "refusal"}.get(why, why)
    if response.status != "completed":
        return response.status
    if refusals:
        return "refusal"
    return "tools" if calls else "end"


def replayed(item):
    """The item without what the SDK's own parsing adds."""
    turn = item.model_dump(exclude_none=True, exclude={"parsed_arguments"})
    for part in turn.get("content") or []:
        part.pop("parsed", None)
    return turn
