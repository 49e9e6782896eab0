"""Go's times: what Go 1.26 prints and reads, in times.jsonl as [what, arguments, result]."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from podium.telemetry.metrics.templates.template import Template
from podium.telemetry.metrics.templates.times import Duration, Time, format_time, parse_time, rfc3339

CASES = [json.loads(line) for line in Path(__file__).with_name("times.jsonl").read_text().splitlines()]


def _result(what: str, arguments: list[str]) -> str:
    match what:
        case "format":
            return format_time(datetime.fromisoformat(arguments[0]), arguments[1])
        case "formatin":
            return format_time(datetime.fromisoformat(arguments[0]).astimezone(ZoneInfo(arguments[2])), arguments[1])
        case "string":
            return Time(datetime.fromisoformat(arguments[0]).astimezone(UTC)).text()
        case "json":
            return json.dumps(rfc3339(datetime.fromisoformat(arguments[0])))
        case "dur":
            return Duration(float(arguments[0])).text()
        case "parse":
            try:
                return rfc3339(parse_time(*arguments).astimezone(UTC))
            except ValueError:
                return "error"
    raise AssertionError(what)


@pytest.mark.parametrize(("what", "arguments", "expected"), CASES)
def test_times_are_written_and_read_as_go_does(what: str, arguments: list[str], expected: str) -> None:
    assert _result(what, arguments) == expected


METHODS = [
    ('{{ .t.Format "15:04" }} {{ .t }}', "03:04 2026-01-02 03:04:05.5 +0000 UTC"),
    (
        "{{ .t.Unix }} {{ .t.UnixMilli }} {{ .t.Year }} {{ .t.Month }} {{ .t.Day }} {{ .t.Weekday }}",
        "1767323045 1767323045500 2026 January 2 Friday",
    ),
    ('{{ (.t.Add .d).Format "15:04:05" }} {{ .t.Sub (.t.Add .d) }}', "04:04:06 -1h0m1s"),
    ('{{ .d }} {{ .d.Hours | printf "%.4f" }} {{ .d.Seconds }} {{ .t.IsZero }}', "1h0m1s 1.0003 3601 false"),
    ("{{ .t.Before (.t.Add .d) }} {{ .t.After .t }} {{ .t.Equal .t.UTC }}", "true false true"),
]


@pytest.mark.parametrize(("text", "expected"), METHODS)
def test_methods_work_in_templates(text: str, expected: str) -> None:
    data = {"t": Time(datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)), "d": Duration(3601.0)}
    assert Template.parse("t", text).execute(data) == expected
