"""Where the gateway and the emulator are, from the environment of the test that runs this file."""

import json
import os
import urllib.request

import pytest


class Emulator:
    """The providers' stand-in; scripted through its own HTTP control."""

    def __init__(self, base_url, credential):
        self.base_url = base_url
        self.credential = credential

    def next(self, behaviour):
        """The credential's next request is answered like this."""
        self._call("POST", "next", behaviour)

    def always(self, behaviour):
        """Every request is answered like this, until `plain`."""
        self._call("PUT", "default", behaviour)

    def plain(self):
        self._call("PUT", "default", {})

    def _call(self, method, what, body):
        url = f"{self.base_url}/_emulator/credentials/{self.credential}/{what}"
        request = urllib.request.Request(
            url, json.dumps(body).encode(), {"content-type": "application/json"}, method=method
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            assert answer.status < 300


@pytest.fixture
def gateway_url():
    return os.environ["SWITCHYARD_TEST_URL"]


@pytest.fixture
def api_key():
    return os.environ["SWITCHYARD_TEST_KEY"]


@pytest.fixture
def emulator():
    """Of the one account that serves this file's wire."""
    emulator = Emulator(os.environ["SWITCHYARD_TEST_EMULATOR"], os.environ["SWITCHYARD_TEST_CREDENTIAL"])
    yield emulator
    emulator.plain()
