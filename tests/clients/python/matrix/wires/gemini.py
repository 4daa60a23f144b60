"""Gemini, through Google's SDK."""

from google import genai
from google.genai import errors, types

from ..conversation import Call, Results, Said, System, Usage, User

STOPS = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "BLOCKLIST": "refusal",
}
# What Google calls errors of a status.
NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}

# Without a budget, a model that is not Google's thinks only if it does so by itself.
AS_MUCH_AS_IT_LIKES = -1


class Unfinished(Exception):
    """No chunk of the stream says why the answer has ended."""


class Gemini:
    name = "gemini"
    overloaded = 503
    error = errors.APIError
    # A stream that is cut ends in order, and without a reason for its end.
    cut = Unfinished

    def __init__(self, url, key):
        once = types.HttpRetryOptions(attempts=1)
        options = types.HttpOptions(base_url=url, retry_options=once, timeout=30_000)
        self.client = genai.Client(api_key=key, http_options=options)

    def say(self, ask):
        arguments = parameters(ask)
        if not ask.stream:
            return heard([self.client.models.generate_content(**arguments)])
        chunks = list(self.client.models.generate_content_stream(**arguments))
        candidates = [candidate for chunk in chunks for candidate in chunk.candidates or []]
        if candidates and not any(candidate.finish_reason for candidate in candidates):
            raise Unfinished
        return heard(chunks)

    def count(self, model, text):
        return self.client.models.count_tokens(model=model, contents=text).total_tokens

    def status(self, error):
        """The status behind an SDK's error, once it is raised as what its users catch. None: it is something else."""
        if not isinstance(error, errors.APIError):
            return None
        wanted = errors.ClientError if error.code < 500 else errors.ServerError
        assert isinstance(error, wanted), f"{error.code} is raised as {type(error)}"
        named = NAMES.get(error.code)
        assert error.message and named in (None, error.status), f"{error.code} is called {error.status}: {error}"
        return error.code


def parameters(ask):
    config = types.GenerateContentConfig()
    if ask.system:
        config.system_instruction = ask.system
    if ask.tools:
        declared = [
            types.FunctionDeclaration(name=tool.name, description=tool.description, parameters_json_schema=tool.schema)
            for tool in ask.tools
        ]
        config.tools = [types.Tool(function_declarations=declared)]
    if ask.force:
        calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=[ask.force])
        config.tool_config = types.ToolConfig(function_calling_config=calling)
    if ask.max_tokens:
        config.max_output_tokens = ask.max_tokens
    if ask.stop:
        config.stop_sequences = [ask.stop]
    if ask.schema:
        config.response_mime_type = "application/json"
        config.response_json_schema = ask.schema
    if ask.think:
        config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=AS_MUCH_AS_IT_LIKES)
    return {"model": ask.model, "contents": [said(turn) for turn in ask.turns], "config": config}


def said(turn):
    match turn:
        case User():
            return types.Content(role="user", parts=parts(turn))
        case Results():
            answers = [
                types.FunctionResponse(id=call.id, name=call.name, response={"result": text}) for call, text in turn.of
            ]
            return types.Content(role="user", parts=[types.Part(function_response=answer) for answer in answers])
        case Said():
            return turn.turn
        case System():
            raise AssertionError("this wire has no system prompts in mid-conversation")


def parts(user):
    every = [types.Part.from_text(text=user.text)]
    every += [types.Part.from_bytes(data=data, mime_type="image/png") for data in user.images]
    every += [types.Part.from_uri(file_uri=url, mime_type="image/png") for url in user.image_urls]
    every += [types.Part.from_bytes(data=data, mime_type="application/pdf") for data in user.pdfs]
    return every


def heard(answers):
    """The parts of all answers, and what the last one counts."""
    every, reason, counts, models = [], None, None, set()
    for answer in answers:
        for candidate in answer.candidates or []:
            every += (candidate.content and candidate.content.parts) or []
            reason = candidate.finish_reason or reason
        counts = answer.usage_metadata or counts
        models.add(answer.model_version)
    text = "".join(part.text for part in every if part.text and not part.thought)
    thoughts = "".join(part.text for part in every if part.text and part.thought)
    calls = [
        Call(part.function_call.id, part.function_call.name, dict(part.function_call.args or {}))
        for part in every
        if part.function_call
    ]
    stop = STOPS.get(reason and reason.value, reason and reason.value)
    if stop == "end" and calls:
        stop = "tools"
    usage = None
    if counts:
        output = (counts.candidates_token_count or 0) + (counts.thoughts_token_count or 0)
        read = (counts.prompt_token_count or 0) + (counts.tool_use_prompt_token_count or 0)
        assert counts.total_token_count == read + output, counts
        usage = Usage(read, counts.cached_content_token_count or 0, output)
    turn = types.Content(role="model", parts=[part for part in every if not says_nothing(part)])
    return Said(text, thoughts, calls, stop, usage, turn, one(models))


def one(models):
    assert len(models) == 1, f"one answer by the models {models}"
    return models.pop()


def says_nothing(part):
    """Streams end with such parts, and Vertex takes none back."""
    return part.text == "" and not part.thought_signature
