"""What a feature came to, and how that is told."""

import traceback


class Absent(Exception):
    """The answer came, and all right, but without what was asked for, since the upstream has no such thing."""


class Skipped(Exception):
    """The wire has no words for the feature."""


def attempt(wire, feature, work):
    """Runs `work`; gives an outcome and what there is to say about it, or None."""
    try:
        work()
        return "works", ""
    except Skipped:
        return None
    except Absent as absent:
        return "absent", str(absent)
    except Exception as error:
        if not feature.startswith("error_") and is_refusal(wire, error):
            return "refused", str(error)
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if "/matrix/" in frame.filename]
        place = f"{where[-1].filename.rsplit('/', 1)[-1]}:{where[-1].lineno}" if where else "?"
        return "failed", f"{place}: {type(error).__name__}: {error}"[:2000]


def is_refusal(wire, error):
    try:
        return wire.status(error) == 400
    except AssertionError:
        # It is not in the form that the wire's errors have.
        return False


def equal(got, wanted, what="it"):
    if got != wanted:
        raise AssertionError(f"{what} is {got!r}, not {wanted!r}")
