"""Runs every feature in every cell, several at a time, and writes down what each came to."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

from . import cells, features, loops, wires
from .lanes import Lanes
from .outcome import attempt

AT_A_TIME = 8
UNKNOWN_KEY = "sk-" + "0" * 64


def main():
    url, key = os.environ["SWITCHYARD_URL"], os.environ["SWITCHYARD_KEY"]
    emulator = os.environ["SWITCHYARD_EMULATOR"]
    columns = cells.read(os.environ["SWITCHYARD_CELLS"])
    work = []
    for wire_class in wires.ALL:
        wire, stranger = wire_class(url, key), wire_class(url, UNKNOWN_KEY)
        for cell in columns:
            # The longest first, so that no thread is left with one at the end.
            work.append((in_lanes, wire, cell, stranger, emulator))
            for feature in [*features.STATELESS, loops.agent_loop, loops.agent_loop_thinking]:
                work.append((by_itself, wire, cell, feature))
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        tried = [pool.submit(*one) for one in work]
        results = [result for one in tried for result in one.result()]
    with open(os.environ["SWITCHYARD_RESULTS"], "w", encoding="utf-8") as file:
        json.dump(results, file)


def by_itself(wire, cell, feature):
    return result(wire, cell, feature.__name__, lambda: feature(wire, cell))


def in_lanes(wire, cell, stranger, emulator):
    lanes = Lanes(wire, cell, stranger, emulator)
    return [one for name in Lanes.ORDER for one in result(wire, cell, name, getattr(lanes, name))]


def result(wire, cell, feature, work):
    """A list of one result; of none where the wire has no words for the feature."""
    outcome = attempt(wire, feature, work)
    if outcome is None:
        return []
    what = {"sdk": cells.SDK, "wire": wire.name, "column": cell.column, "feature": feature}
    return [{**what, "outcome": outcome[0], "detail": outcome[1]}]


if __name__ == "__main__":
    main()
