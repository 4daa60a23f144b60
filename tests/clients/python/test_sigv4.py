"""What the gateway signs for Bedrock, held against AWS's own code: each request that came is signed again."""

import json
import os

import anthropic
import pytest
from make_sigv4_vectors import signed
from matrix.cells import Script

REGION = "us-east-1"
ACCOUNTS = json.loads(os.environ["SWITCHYARD_TEST_ACCOUNTS"])


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account["model"])
def test_signatures_are_those_of_botocore(gateway_url, api_key, account):
    client = anthropic.Anthropic(base_url=gateway_url, api_key=api_key, max_retries=0, timeout=20)
    script = Script(os.environ["SWITCHYARD_TEST_EMULATOR"], account["access_key_id"])
    for text in ("Hello", "Grüße, 世界 🦀"):
        asked = dict(model=account["model"], max_tokens=64, messages=[{"role": "user", "content": text}])
        assert client.messages.create(**asked).content[0].text == text
        with client.messages.stream(**asked) as stream:
            assert "".join(stream.text_stream) == text
        # It is asked for a profile too, for which AWS does not count, so that it is estimated.
        assert client.messages.count_tokens(model=asked["model"], messages=asked["messages"]).input_tokens > 0
    calls = [call for call in script.calls() if call["method"] == "POST"]
    assert len(calls) >= 2 * len(account["calls"])
    paths = {call["target"].rsplit("/", 1)[1] for call in calls}
    assert paths == set(account["calls"])
    for call in calls:
        check(call, account)


def check(call, account):
    headers = dict(call["headers"])
    assert headers.get("x-amz-security-token") == account.get("session_token")
    given = headers["authorization"]
    names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
    stamp = headers["x-amz-date"]
    time = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}Z"
    # These two botocore sets by itself.
    others = {name: headers[name] for name in names if name not in ("x-amz-date", "x-amz-security-token")}
    again = signed(
        REGION,
        time,
        f"http://{headers['host']}{call['target']}",
        call["body"],
        account.get("session_token"),
        others,
        key_id=account["access_key_id"],
        secret=account["secret_access_key"],
    )
    assert given == again["Authorization"]
