"""Log lines: JSON, bounded, without secrets."""

import json
import logging

import pytest

from podium.instrument import log
from podium.world.virtual import VirtualWorld


@pytest.fixture
def lines(tmp_path):
    """Configures a file and gives a reader of its lines."""
    path = tmp_path / "podium.log"

    def configure(levels="debug", clock=None):
        log.configure(path, levels=levels, clock=clock)

        def read():
            return [json.loads(line) for line in path.read_text().splitlines()]

        read.path = path
        return read

    yield configure
    for name in ("podium", "asyncio"):
        stdlib = logging.getLogger(name)
        for handler in list(stdlib.handlers):
            stdlib.removeHandler(handler)
            handler.close()
        stdlib.propagate = True
        stdlib.setLevel(logging.NOTSET)


def test_a_record_is_a_line_of_json_stamped_by_the_worlds_clock(lines):
    read = lines(clock=VirtualWorld(1).clock)
    log.logger("node.pods").info("pod started", pod="default/web", attempt=0)
    assert read() == [
        {
            "time": "2026-01-01T00:00:00.000000Z",
            "level": "info",
            "logger": "node.pods",
            "message": "pod started",
            "pod": "default/web",
            "attempt": 0,
        }
    ]


@pytest.mark.parametrize(
    ("levels", "expect"),
    [
        ("", ["a warning", "b warning"]),
        ("error", []),
        ("info", ["a info", "a warning", "b info", "b warning"]),
        ("error,t.a=debug", ["a debug", "a info", "a warning"]),
    ],
)
def test_levels_are_by_name(lines, levels, expect):
    read = lines(levels)
    for name in "ab":
        own = log.logger(f"t.{name}")
        own.debug(f"{name} debug")
        own.info(f"{name} info")
        own.warning(f"{name} warning")
    assert [line["message"] for line in read()] == expect
    logging.getLogger("podium.t.a").setLevel(logging.NOTSET)


def test_an_unknown_level_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="'loud' is not a level; use one of debug, info, warning, error"):
        log.parse_levels("info,store=loud")


SECRETS = {
    "field": {"token": "abcdefgh12345678"},
    "bearer": {"header": "Authorization: Bearer abcdefgh12345678"},
    "jwt": {"text": "got eyJhbGciOiJSUzI1NiJ9.abcdefgh12345678.signature99"},
    "pem": {"text": "-----BEGIN EC PRIVATE KEY-----\nabcdefgh12345678\n-----END EC PRIVATE KEY-----"},
    "cut pem": {"text": "-----BEGIN PRIVATE KEY-----\nabcdefgh12345678"},
    "object": {"object": {"kind": "Secret", "data": {"a": "abcdefgh12345678"}}},
    "bytes": {"body": b"abcdefgh12345678"},
    "error": {"cause": ValueError("Bearer abcdefgh12345678")},
    "list": {"argv": ["--header", "bearer abcdefgh12345678"]},
}


@pytest.mark.parametrize("case", SECRETS)
def test_secrets_are_masked(lines, case):
    read = lines()
    log.logger("t").warning("something", **SECRETS[case])
    assert "abcdefgh12345678" not in read.path.read_text() and len(read()) == 1


def test_an_error_carries_its_trace_without_secrets(lines):
    read = lines()
    try:
        raise RuntimeError("refused Bearer abcdefgh12345678")
    except RuntimeError as error:
        log.logger("t").error("request failed", error=error)
    (line,) = read()
    assert line["error"].startswith("RuntimeError: refused") and "test_log.py" in line["trace"]
    assert "abcdefgh12345678" not in read.path.read_text()


def test_everything_is_bounded(lines, monkeypatch):
    read = lines()
    log.logger("t").info("x" * 10_000, long="y" * 100_000, many=list(range(1000)), huge=2**100, odd="\ud800")
    (line,) = read()
    assert (len(line["message"]), len(line["long"]), len(line["many"])) == (log.FIELD_CHARS_MAX, log.FIELD_CHARS_MAX, 50)
    monkeypatch.setattr(log, "FILE_BYTES_MAX", 10_000)
    for _ in range(300):
        log.logger("t").info("z" * 100)
    assert read.path.stat().st_size < 10_500 and read.path.with_name("podium.log.1").stat().st_size < 10_500


def test_a_flood_is_dropped_and_counted(lines, monkeypatch):
    monkeypatch.setattr(log, "RECORDS_PER_SECOND_MAX", 10)
    read = lines()
    handler = logging.getLogger("podium").handlers[0]
    for second, count in ((100, 25), (101, 1)):
        for _ in range(count):
            handler.handle(logging.makeLogRecord({"name": "podium.t", "levelname": "INFO", "msg": "flood", "created": second + 0.5}))
    assert [line.get("dropped", 0) for line in read()] == [0] * 10 + [15, 0]


def test_libraries_records_come_out_the_same_way(lines):
    read = lines()
    logging.getLogger("asyncio").error("Task exception was never retrieved: %s", 1)
    assert read()[0]["logger"] == "asyncio"


def test_an_error_may_be_a_text_and_a_field_may_be_called_message(lines):
    read = lines()
    log.logger("t").error("request failed", error="no route", message="shadowed")
    (line,) = read()
    assert (line["message"], line["error"]) == ("request failed", "no route")
