"""Time intervals: when they contain a time, and what is refused."""

from datetime import UTC, datetime

import pytest

from podium.telemetry.metrics.alertmanager.configuration import load
from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.time_intervals import TimeInterval


def interval(text: str) -> TimeInterval:
    found = load(f"route: {{receiver: x}}\nreceivers: [{{name: x}}]\ntime_intervals: [{{name: t, time_intervals: [{text}]}}]")
    return found.time_intervals["t"][0]


CASES = [
    ("{}", "2026-07-01T12:00", True),
    ("{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-07-01T09:00", True),
    ("{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-07-01T16:59", True),
    ("{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-07-01T17:00", False),
    ("{times: [{start_time: '22:00', end_time: '24:00'}]}", "2026-07-01T23:59", True),
    ("{weekdays: ['monday:friday']}", "2026-07-03T00:00", True),  # a Friday
    ("{weekdays: ['monday:friday']}", "2026-07-04T00:00", False),
    ("{weekdays: [Sunday]}", "2026-07-05T00:00", True),
    ("{days_of_month: ['1:5', '-3:-1']}", "2026-07-05T00:00", True),
    ("{days_of_month: ['1:5', '-3:-1']}", "2026-07-06T00:00", False),
    ("{days_of_month: ['-1']}", "2028-02-29T00:00", True),
    ("{days_of_month: ['-1']}", "2027-02-28T00:00", True),
    ("{days_of_month: ['31']}", "2026-06-30T00:00", False),
    ("{days_of_month: ['30:31']}", "2026-06-30T00:00", True),
    ("{months: ['january:march', may, '8']}", "2026-08-01T00:00", True),
    ("{months: ['january:march', may, '8']}", "2026-04-01T00:00", False),
    ("{years: ['2020:2026', '2030']}", "2026-04-01T00:00", True),
    ("{years: ['2020:2025', '2030']}", "2026-04-01T00:00", False),
    ("{times: [{start_time: '09:00', end_time: '10:00'}], location: Europe/Berlin}", "2026-07-01T07:30", True),  # summer time
    ("{times: [{start_time: '09:00', end_time: '10:00'}], location: Europe/Berlin}", "2026-01-01T08:30", True),
    ("{weekdays: [monday], location: Australia/Sydney}", "2026-07-05T20:00", True),
    ("{times: []}", "2026-07-01T12:00", False),
]


@pytest.mark.parametrize(("text", "when", "expected"), CASES)
def test_an_interval_contains(text: str, when: str, expected: bool) -> None:
    assert interval(text).contains(datetime.fromisoformat(when).replace(tzinfo=UTC)) is expected


REFUSED = [
    ("{times: [{start_time: '9:00', end_time: '17:00'}]}", "couldn't parse timestamp 9:00, invalid format"),
    ("{times: [{start_time: '24:01', end_time: '17:00'}]}", "couldn't parse timestamp 24:01, invalid format"),
    ("{times: [{start_time: '10:00', end_time: '10:00'}]}", "start time cannot be equal or greater than end time"),
    ("{times: [{start_time: '10:00'}]}", "both start and end times must be provided"),
    ("{weekdays: ['friday:monday']}", "start day cannot be before end day"),
    ("{weekdays: [someday]}", "someday is not a valid weekday"),
    ("{days_of_month: ['0']}", "0 is not a valid day of the month: out of range"),
    ("{days_of_month: ['32']}", "32 is not a valid day of the month: out of range"),
    ("{days_of_month: ['-5:5']}", "end day must be negative if start day is negative"),
    ("{days_of_month: ['10:5']}", "end day 5 is always before start day 10"),
    ("{months: ['may:april']}", "end month april is before start month may"),
    ("{months: ['13']}", "13 is not a valid month: out of range"),
    ("{years: ['2026:2025']}", "end year 2025 is before start year 2026"),
    ("{years: ['1:2:3']}", "couldn't parse range 1:2:3, invalid format"),
    ("{location: Mars/Olympus}", "unknown time zone Mars/Olympus"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_interval_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        interval(text)
    assert str(raised.value) == f"line 3: {message}"
