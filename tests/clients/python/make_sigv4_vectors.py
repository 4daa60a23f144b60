"""Writes requests to Bedrock with the signatures that AWS's own code puts on them.

`python make_sigv4_vectors.py > ../../../data-plane/tests/golden/sigv4.json`, with the packages of `current.txt`.
"""

import datetime
import json
import sys
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+tok/en=="
SONNET = "us.anthropic.claude-sonnet-5-20260201-v1%3A0"
LLAMA = "meta.llama4-maverick-17b-instruct-v1%3A0"
PROFILE = "arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2c3d4e5f6"
IMPORTED = "arn%3Aaws-us-gov%3Abedrock%3Aus-gov-west-1%3A123456789012%3Aimported-model%2Fabc%20def~1"
HELLO = '{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}'
UNICODE = '{"messages":[{"role":"user","content":[{"text":"Grüße, 世界 🦀"}]}]}'

# region, time, path as it is sent, body, session token, host (absent: the region's own)
CASES = [
    ("us-east-1", "2015-08-30T12:36:00Z", f"/model/{SONNET}/invoke", HELLO, None, None),
    ("us-east-1", "2015-08-30T12:36:00Z", f"/model/{SONNET}/invoke", HELLO, TOKEN, None),
    ("us-east-1", "2015-08-30T12:36:00Z", f"/model/{SONNET}/invoke", "", None, None),
    ("us-west-2", "2026-11-25T00:00:00Z", f"/model/{SONNET}/invoke-with-response-stream", UNICODE, None, None),
    ("eu-central-1", "2026-12-31T23:59:59Z", f"/model/{PROFILE}/converse", HELLO, None, None),
    ("eu-central-1", "2027-01-01T00:00:00Z", f"/model/{PROFILE}/converse-stream", UNICODE, TOKEN, None),
    ("us-gov-west-1", "2024-02-29T06:07:08Z", f"/model/{IMPORTED}/invoke", HELLO, None, None),
    ("ap-northeast-1", "2026-06-01T10:00:00Z", "/model/amazon.nova-pro-v1%3A0/converse", UNICODE, None, None),
    ("sa-east-1", "2026-06-01T10:00:00Z", f"/model/{LLAMA}/count-tokens", "{}", TOKEN, None),
    ("us-east-1", "2026-06-01T10:00:00Z", "/model/plain-name/invoke", HELLO, None, None),
    ("us-east-1", "2026-06-01T10:00:00Z", f"/bedrock/model/{SONNET}/invoke", HELLO, None, "127.0.0.1:8080"),
    ("us-east-1", "2026-06-01T10:00:00Z", f"/behind/a%20proxy/model/{SONNET}/invoke", HELLO, TOKEN, "gate.example"),
]


def vector(region, time, path, body, token, host):
    host = host or f"bedrock-runtime.{region}.amazonaws.com"
    scheme = "http" if host.startswith("127.") else "https"
    signed_headers = {"content-type": "application/json", "host": host}
    headers = signed(region, time, f"{scheme}://{host}{path}", body.encode(), token, signed_headers)
    return {
        "region": region,
        "time": time,
        "access_key_id": ID,
        "secret_access_key": SECRET,
        "session_token": token,
        "method": "POST",
        "url": f"{scheme}://{host}{path}",
        "content_type": "application/json",
        "body": body,
        "amz_date": headers["X-Amz-Date"],
        "authorization": headers["Authorization"],
    }


def signed(region, time, url, body, token, headers, key_id=ID, secret=SECRET):
    """The headers of a POST as botocore signs it at that time; all that are given are signed."""
    now = datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ")
    request = AWSRequest("POST", url, data=body, headers=HTTPHeaders())
    for name, value in headers.items():
        request.headers[name] = value
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(Credentials(key_id, secret, token), "bedrock", region).add_auth(request)
    return request.headers


if __name__ == "__main__":
    json.dump([vector(*case) for case in CASES], sys.stdout, indent=2)
    print()
