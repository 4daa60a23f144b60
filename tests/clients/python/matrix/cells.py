"""Columns of the matrix, and the script of the providers behind them."""

import base64
import json
import urllib.parse
import urllib.request
from dataclasses import dataclass

SDK = "python"


@dataclass
class Lane:
    """An account of one column that one wire has to itself."""

    model: str
    emulator_key: str


@dataclass
class Cell:
    column: str
    account_type: str
    model: str
    reasoning_model: str
    lanes: dict[str, list[Lane]]


def read(path):
    with open(path, encoding="utf-8") as file:
        return [cell(one) for one in json.load(file)]


def cell(one):
    lanes = {wire: [Lane(**lane) for lane in lanes] for wire, lanes in one["lanes"][SDK].items()}
    return Cell(one["column"], one["account_type"], one["model"], one["reasoning_model"], lanes)


class Script:
    """Of one credential at the emulator."""

    def __init__(self, base_url, key):
        self.url = f"{base_url}/_emulator/credentials/{urllib.parse.quote(key, safe='')}"

    def always(self, behaviour):
        self._call("PUT", "default", behaviour)

    def plain(self):
        self._call("PUT", "default", {})

    def next(self, behaviour):
        self._call("POST", "next", behaviour)

    def calls(self):
        """The last calls, with their bodies as bytes."""
        calls = self._call("GET", "calls")
        for call in calls:
            call["body"] = base64.b64decode(call["body"])
        return calls

    def _call(self, method, what, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/{what}", data, {"content-type": "application/json"}, method=method
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)
