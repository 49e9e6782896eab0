"""AWS Signature Version 4, against AWS' own example (the GET of IAM's ListUsers in its signing reference)."""

from datetime import UTC, datetime

from podium.telemetry.metrics.alertmanager.signing import Credentials, sign


def test_the_reference_s_example_is_signed_as_there() -> None:
    key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY" + "EXAMPLEKEY"  # AWS' published example, no secret
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", "host": "iam.amazonaws.com"}
    signed = sign(
        "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", headers, b"", service="iam", region="us-east-1",
        credentials=Credentials("AKIDEXAMPLE", key), now=datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
    )  # fmt: skip
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date,"
        " Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )
