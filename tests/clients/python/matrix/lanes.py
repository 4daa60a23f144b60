"""What needs an account of its own, one thing after the other: what came upstream, scripted usage, and errors."""

from .cells import Script
from . import upstream
from .conversation import SAY_SYSTEM, Ask, System, User, ask
from .features import both, usage
from .outcome import Skipped, equal

# Said by the upstream in errors that are about the request.
WORDS = "the model has no wings"
COUNTS = {"input": 101, "cache_read": 7, "output": 13, "reasoning": 5}
PROMPT, LIT = "You are the clerk of a lighthouse.", "The lamp is lit."


def failing(status, **more):
    return {"fault": {"status": {"status": status, **more}}}


class Lanes:
    """Of one wire and column. Each method is a feature; they are called in the order of `ORDER`."""

    # Limits come last in each lane: they take its account out for a while.
    ORDER = (
        "system_mid",
        "usage",
        "error_400",
        "error_401",
        "error_404",
        "error_413",
        "error_500",
        "error_429",
        "error_in_stream",
        "cut_in_stream",
        "error_403",
        "error_529",
        "error_404_upstream",
    )

    def __init__(self, wire, cell, stranger, emulator_url):
        """`stranger` speaks the wire with a key that the gateway does not know."""
        self.wire, self.cell, self.stranger = wire, cell, stranger
        self.first, self.second, self.third = cell.lanes[wire.name]
        self.emulator_url = emulator_url
        self.script = Script(emulator_url, self.first.emulator_key)
        self.second_script = Script(emulator_url, self.second.emulator_key)

    def system_mid(self):
        """It stays behind what it followed: as one of the system where the upstream knows such, else as the user's."""
        if self.wire.name == "gemini":
            raise Skipped
        first = self.wire.say(ask(self.first.model, "Hello."))
        dark, asked = User("It is dark."), User(SAY_SYSTEM)
        # In messages it stands behind what the user says, which is answered next.
        last = [asked, System(LIT)] if self.wire.name == "messages" else [dark, System(LIT), asked]
        turns = [User("Hello."), first, *last]
        for said in both(self.wire, lambda: Ask(self.first.model, turns, system=PROMPT)):
            call = self.script.calls()[-1]
            told, knows = upstream.told(call), upstream.is_openai(call)
            equal([text for _, text in told[-len(last) :]], [turn.text for turn in last], "what was told last")
            role = next(role for role, text in told if text == LIT)
            assert role in ("system", "developer") or role == "user" and not knows, f"the {role} tells it"
            # The emulator says all prompts of the system.
            equal(said.text, PROMPT if role == "user" else f"{PROMPT}\n{LIT}", f"what the model heard from the {role}")

    def usage(self):
        usage(self.wire, self.cell)
        self.script.always({"usage": COUNTS})
        try:
            for stream in (False, True):
                said = self.wire.say(ask(self.first.model, "Count this.", stream=stream))
                counts = said.usage
                equal((counts.input, counts.cached, counts.output), (101 + 7, 7, 13), "the usage")
        finally:
            self.script.plain()

    def error_400(self):
        self.fails_with(400, self.script, self.first.model, 400, says=WORDS)

    def error_401(self):
        self.raises(401, self.first.model, wire=self.stranger)

    def error_403(self):
        """The account's own trouble, which the client can do nothing about: its key is good."""
        # Once: then the gateway finds out by a test whether the account's credential is any good.
        self.second_script.next(failing(403, error={"message": WORDS}))
        self.raises(502, self.second.model)

    def error_404(self):
        self.raises(404, "no-such-model", says="no-such-model")

    def error_404_upstream(self):
        """The provider does not have the model, or not for this account."""
        Script(self.emulator_url, self.third.emulator_key).always({"fault": {"refused": "model_unknown"}})
        for stream in (False, True):
            self.raises(404, self.third.model, says="has access to this model", stream=stream)

    def error_413(self):
        self.fails_with(413, self.script, self.first.model, 413, says=WORDS)

    def error_429(self):
        self.fails_with(429, self.script, self.first.model, 429)

    def error_500(self):
        self.fails_with(500, self.script, self.first.model, 502)

    def error_529(self):
        self.fails_with(529, self.second_script, self.second.model, self.wire.overloaded)

    def error_in_stream(self):
        fault = {"error_event": {"at": {"content": 2}, "status": 500, "error": {"message": WORDS}}}
        self.breaks(fault, self.wire.error, says=WORDS)

    def cut_in_stream(self):
        self.breaks({"cut": {"content": 2}}, self.wire.cut)

    def breaks(self, fault, expected, says=""):
        """A stream that breaks ends in an error, not as if it were whole."""
        self.second_script.next({"chunks": 8, "fault": fault})
        try:
            said = self.wire.say(ask(self.second.model, "one two three four five six seven eight", stream=True))
        except expected as error:
            assert says in str(error), f"the error says {error}"
            return
        raise AssertionError(f"no error, but the answer {said.text!r}")

    def fails_with(self, status, script, model, expected, says=None):
        """`says`: the error is about the request, so that the account may be asked again at once."""
        more = {"retry_after": "1"} if status in (429, 529) else {}
        if says:
            more["error"] = {"message": says}
        script.always(failing(status, **more))
        try:
            for stream in (False, True) if says else (False,):
                self.raises(expected, model, says, stream=stream)
        finally:
            script.plain()

    def raises(self, status, model, says=None, wire=None, stream=False):
        wire = wire or self.wire
        try:
            said = wire.say(ask(model, "Fly.", stream=stream))
        except Exception as error:
            got = wire.status(error)
            if got is None:
                raise
            equal(got, status, f"the status (of {error})")
            assert says is None or says in str(error), f"the error says {error}"
            return
        raise AssertionError(f"no error, but the answer {said.text!r}")
