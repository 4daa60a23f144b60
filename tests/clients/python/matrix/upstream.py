"""What the upstream was told, in whichever wire."""

import json


def told(call):
    """Of a call that came: who says what in the conversation, a text each, without a system prompt of the request's."""
    body = json.loads(call["body"])
    # Code Assist has Gemini's request in one of its own.
    body = body.get("request", body)
    turns = body.get("messages") or body.get("input") or body.get("contents")
    return [(turn["role"], text) for turn in turns if "role" in turn for text in texts(turn)]


def is_openai(call):
    """It came in a wire of OpenAI's, which takes prompts of the system everywhere."""
    return any(path in call["target"] for path in ("/chat/completions", "/responses"))


def texts(turn):
    said = turn.get("content") or turn.get("parts") or []
    parts = [{"text": said}] if isinstance(said, str) else said
    return [part["text"] for part in parts if part.get("text")]
