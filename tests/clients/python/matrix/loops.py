"""An agent's loop: it is asked, calls two tools, hears the results, answers, and is asked again."""

import re

from .conversation import (
    THOUGHT,
    TIME,
    TIME_ARGUMENTS,
    WEATHER,
    WEATHER_ARGUMENTS,
    Ask,
    Results,
    User,
)
from .outcome import equal

QUESTION = "Use get_weather and get_time for Oslo."
RAIN, NOON = "Rain, 4 degrees.", "Twelve."
# Some wires have a message for each result, of which the emulator repeats the last; others have one for all.
ANSWER = re.compile(f"({re.escape(NOON)})?{re.escape(RAIN)}|{re.escape(RAIN)}{re.escape(NOON)}|{re.escape(NOON)}")


def agent_loop(wire, cell):
    run(wire, cell.model, think=False)


def agent_loop_thinking(wire, cell):
    run(wire, cell.reasoning_model, think=True)


def run(wire, model, think):
    for stream in (False, True):
        turns = [User(QUESTION)]
        step = lambda: wire.say(Ask(model, turns, tools=[WEATHER, TIME], think=think, stream=stream))
        called = step()
        calls = [(call.name, call.arguments) for call in called.calls]
        equal(calls, [(WEATHER.name, WEATHER_ARGUMENTS), (TIME.name, TIME_ARGUMENTS)], "the calls")
        weather, time = called.calls
        turns += [called, Results([(time, NOON), (weather, RAIN)])]
        answered = step()
        assert ANSWER.fullmatch(answered.text), f"the answer is {answered.text!r}"
        equal(answered.calls, [], "further calls")
        turns += [answered, User("Thank you, and now?")]
        equal(step().text, "Thank you, and now?", "the last answer")
        for said in (called, answered):
            assert said.thoughts in ("", THOUGHT), f"the thought is {said.thoughts!r}"
