import pytest

from podium.telemetry.metrics.configuration.values import Secret, Url, format_bytes, parse_bytes
from podium.telemetry.metrics.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "milliseconds", "written"),
    [
        ("0", 0, "0s"), ("0s", 0, "0s"), ("1ms", 1, "1ms"), ("15s", 15_000, "15s"), ("1h30m", 5_400_000, "1h30m"), ("90m", 5_400_000, "1h30m"),
        ("1d", 86_400_000, "1d"), ("24h", 86_400_000, "1d"), ("10m7s", 607_000, "10m7s"), ("1y", 31_536_000_000, "1y"),
        ("1w1d", 691_200_000, "8d"), ("25h", 90_000_000, "25h"), ("1m5ms", 60_005, "1m5ms"), ("1y2w3d4h5m6s7ms", 33_019_506_007, "9172h5m6s7ms"),
    ],
)  # fmt: skip
def test_durations(text: str, milliseconds: int, written: str) -> None:
    assert parse_duration(text) == milliseconds
    assert format_duration(milliseconds) == written
    assert parse_duration(written) == milliseconds


@pytest.mark.parametrize("text", ["", "1", "1.5h", "-1s", "1s1m", "1m1m", " 1s", "294y", "1x", "ms", "1S", "１s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size", "written"),
    [
        ("0", 0, "0B"),
        ("512B", 512, "512B"),
        ("15MB", 15 * 2**20, "15MiB"),
        ("1.5KiB", 1536, "1KiB512B"),
        ("1GB512MB", 1536 * 2**20, "1GiB512MiB"),
    ],
)
def test_sizes(text: str, size: int, written: str) -> None:
    assert parse_bytes(text) == size
    assert format_bytes(size) == written


@pytest.mark.parametrize("text", ["", "1", "1XB", "MB", "-1MB", "99999999EB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="units"):
        parse_bytes(text)


def test_secrets_are_hidden_and_compare() -> None:
    secret = Secret("hunter2")
    assert f"{secret} {secret!r} {secret!s} {[secret]}" == "<secret> <secret> <secret> [<secret>]"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2") != Secret("other")
    assert Url("http://me:pass@x/y?a=b").redacted() == "http://me:xxxxx@x/y?a=b"
