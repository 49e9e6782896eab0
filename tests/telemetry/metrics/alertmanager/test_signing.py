"""AWS Signature Version 4, against AWS' own library with keys made for the test."""

import random
from datetime import UTC, datetime

import pytest

from podium.telemetry.metrics.alertmanager.signing import Credentials, sign

REQUESTS = [
    ("GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", b"", ""),
    ("POST", "https://sns.eu-west-1.amazonaws.com/", b"Action=Publish&Message=a+b%26c", ""),
    ("POST", "https://sns.eu-west-1.amazonaws.com/", b"Action=Publish&Message=%C3%A4", "a session"),
]


@pytest.mark.parametrize(("method", "url", "body", "token"), REQUESTS)
def test_a_request_is_signed_as_aws_library_does(method: str, url: str, body: bytes, token: str) -> None:
    auth, awsrequest, credentials = (pytest.importorskip(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials"))
    draw = random.Random(7)
    access, secret = ("".join(draw.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=n)) for n in (16, 32))
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", "host": url.split("/")[2]}
    now = datetime.now(UTC).replace(microsecond=0)
    signed = sign(
        method, url, headers, body, service="sns", region="eu-west-1", credentials=Credentials(access, secret, token), now=now
    )  # fmt: skip
    request = awsrequest.AWSRequest(method, url, data=body, headers=dict(headers))
    request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    signer = auth.SigV4Auth(credentials.Credentials(access, secret, token or None), "sns", "eu-west-1")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert signed["authorization"].endswith(f"Signature={signer.signature(text, request)}")
    assert signed["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={access}/")
