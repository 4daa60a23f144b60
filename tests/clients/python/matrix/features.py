"""What is tried in each cell: functions of a wire and a column that return where all is as it should be.

The emulator's answers follow from what reached it, so each check is of the whole way there and back.
"""

import json

from .conversation import (
    FILLED,
    IMAGE_URL,
    PDF,
    REFUSE,
    SAY_SYSTEM,
    SCHEMA,
    THOUGHT,
    TIME,
    TIME_ARGUMENTS,
    TOKENS_PER_MESSAGE,
    WEATHER,
    WEATHER_ARGUMENTS,
    Ask,
    User,
    ask,
    png,
    tokens,
)
from .outcome import Absent, Skipped, equal

TEXT = "Grüße, 世界 🦀: say this again, word for word."


def both(wire, make):
    """Asks plainly and for a stream; gives what was said."""
    for stream in (False, True):
        asked = make()
        asked.stream = stream
        yield wire.say(asked)


def plain(wire, cell):
    check_echo(wire.say(ask(cell.model, TEXT)), cell)


def stream(wire, cell):
    check_echo(wire.say(ask(cell.model, TEXT, stream=True)), cell)


def check_echo(said, cell):
    equal((said.text, said.calls), (TEXT, []), "the answer")
    equal(said.model, cell.model, "the model, which is called as the client calls it,")


def tools(wire, cell):
    make = lambda: ask(cell.model, "What is it like in Oslo?", tools=[TIME, WEATHER], force=WEATHER.name)
    for said in both(wire, make):
        equal([(call.name, call.arguments) for call in said.calls], [(WEATHER.name, WEATHER_ARGUMENTS)], "the call")


def parallel_tools(wire, cell):
    make = lambda: ask(cell.model, "Use get_weather and get_time for Oslo.", tools=[WEATHER, TIME])
    for said in both(wire, make):
        calls = [(call.name, call.arguments) for call in said.calls]
        equal(calls, [(WEATHER.name, WEATHER_ARGUMENTS), (TIME.name, TIME_ARGUMENTS)], "the calls")
        ids = {call.id for call in said.calls if call.id}
        # Google's older models tell calls apart by their names.
        assert len(ids) == 2 or not ids and wire.name == "gemini", f"calls without ids of their own: {said.calls}"


def one_call(wire, cell):
    if wire.name == "gemini":
        raise Skipped
    make = lambda: ask(cell.model, "Use get_weather and get_time for Oslo.", tools=[WEATHER, TIME], parallel=False)
    for said in both(wire, make):
        if len(said.calls) == 2:
            raise Absent("the model calls as many tools at a time as it likes")
        equal([(call.name, call.arguments) for call in said.calls], [(WEATHER.name, WEATHER_ARGUMENTS)], "the call")


def images(wire, cell):
    small, large = png(8, 8), png(32, 24)
    make = lambda: Ask(cell.model, [User("Look.", images=[small, large])])
    for said in both(wire, make):
        equal(said.text, f"Look. [image/png, {len(small)} bytes] [image/png, {len(large)} bytes]", "the answer")


def url_images(wire, cell):
    said = wire.say(Ask(cell.model, [User("Look.", image_urls=[IMAGE_URL])]))
    equal(said.text, f"Look. [{IMAGE_URL}]", "the answer")


def pdf(wire, cell):
    make = lambda: Ask(cell.model, [User("Read.", pdfs=[PDF])])
    for said in both(wire, make):
        equal(said.text, f"Read. [application/pdf, {len(PDF)} bytes]", "the answer")


def reasoning(wire, cell):
    """Thoughts come through, and the turn is taken back as it was given."""
    for stream in (False, True):
        first = wire.say(ask(cell.reasoning_model, TEXT, think=True, stream=stream))
        equal(first.text, TEXT, "the answer")
        turns = [User(TEXT), first, User("And again?")]
        second = wire.say(Ask(cell.reasoning_model, turns, think=True, stream=stream))
        equal(second.text, "And again?", "the second answer")
        for said in (first, second):
            if not said.thoughts:
                hidden = said.usage.output > tokens(said.text)
                raise Absent("the model thinks, and shows nothing of it" if hidden else "the model does not think")
            equal(said.thoughts, THOUGHT, "the thought")


def structured(wire, cell):
    for said in both(wire, lambda: ask(cell.model, "What is it like in Oslo?", schema=SCHEMA)):
        equal(json.loads(said.text), FILLED, "the object")


def usage(wire, cell):
    """Tokens are those that the upstream counted, also what it read from its cache."""
    read, written = TOKENS_PER_MESSAGE + tokens(TEXT), tokens(TEXT)
    for said in both(wire, lambda: ask(cell.model, TEXT)):
        counts = said.usage
        equal((counts.input, counts.cached, counts.output), (read, 0, written), "the usage")


def count_tokens(wire, cell):
    """Some upstreams count, of others it is estimated: more text has more tokens, about as many as it should."""
    if wire.name not in ("messages", "gemini"):
        raise Skipped
    few, many = (wire.count(cell.model, "two words " * times) for times in (1, 100))
    assert 1 <= few < 20 and 150 < many < 600, (few, many)


def usage_unasked(wire, cell):
    """A stream that was asked for no usage shows none."""
    if wire.name != "chat":
        raise Skipped
    wire.check_uncounted(cell.model)


def stop_end(wire, cell):
    for said in both(wire, lambda: ask(cell.model, TEXT)):
        equal(said.stop, "end", "the reason")


def stop_length(wire, cell):
    text = "word " * 40
    for said in both(wire, lambda: ask(cell.model, text, max_tokens=20)):
        if said.text == text.strip() or said.text == text:
            raise Absent("the answer is as long as it would be without a limit")
        equal((said.text, said.stop), (text[:80], "length"), "text and reason")


def stop_sequence(wire, cell):
    if wire.name == "responses":
        raise Skipped
    for said in both(wire, lambda: ask(cell.model, "first, then zebra, then last", stop="zebra")):
        if "zebra" in said.text:
            raise Absent("the answer goes on behind the sequence")
        equal(said.text, "first, then ", "the answer")
        assert said.stop in ("end", "stop_sequence"), said.stop


def stop_tool(wire, cell):
    for said in both(wire, lambda: ask(cell.model, "Use get_weather.", tools=[WEATHER])):
        equal((len(said.calls), said.stop), (1, "tools"), "calls and reason")


def stop_refusal(wire, cell):
    for said in both(wire, lambda: ask(cell.model, REFUSE)):
        equal(said.stop, "refusal", "the reason")


def system(wire, cell):
    prompt = "You are the clerk of a lighthouse."
    for said in both(wire, lambda: ask(cell.model, SAY_SYSTEM, system=prompt)):
        equal(said.text, prompt, "what the model was told")


STATELESS = [
    plain,
    stream,
    tools,
    parallel_tools,
    one_call,
    images,
    url_images,
    pdf,
    reasoning,
    structured,
    count_tokens,
    usage_unasked,
    stop_end,
    stop_length,
    stop_sequence,
    stop_tool,
    stop_refusal,
    system,
]
