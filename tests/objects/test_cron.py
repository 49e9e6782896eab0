"""When schedules are met."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from podium.objects import cron


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


@pytest.mark.parametrize(("schedule", "after", "expect"), [
    ("* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:01:00"),
    ("*/15 * * * *", "2026-01-01T00:15:00", "2026-01-01T00:30:00"),
    ("0 9-17/4 * * mon-fri", "2026-01-02T17:00:00", "2026-01-05T09:00:00"),
    ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
    ("0 0 13 * 5", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
    ("0 0 13 * *", "2026-01-01T00:00:00", "2026-01-13T00:00:00"),
    ("0 0 1 */2 ?", "2026-01-02T00:00:00", "2026-03-01T00:00:00"),
    ("5/20 * * * *", "2026-01-01T00:26:00", "2026-01-01T00:45:00"),
    ("@weekly", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
    ("@every 90s", "2026-01-01T00:00:00", "2026-01-01T00:01:30"),
    ("0 0 31 12 *", "2026-12-31T00:00:00", "2027-12-31T00:00:00"),
])  # fmt: skip
def test_the_next_time(schedule: str, after: str, expect: str) -> None:
    assert cron.parse(schedule).next(at(after)) == at(expect)


def test_a_date_that_never_comes() -> None:
    assert cron.parse("0 0 30 2 *").next(at("2026-01-01T00:00:00")) is None


@pytest.mark.parametrize(("schedule", "after", "expect"), [
    ("30 2 * * *", "2026-03-28T12:00:00", "2026-03-30T00:30:00"),  # 02:30 on the 29th is skipped in Berlin
    ("30 2 * * *", "2026-10-24T12:00:00", "2026-10-25T00:30:00"),  # 02:30 comes twice on the 25th: once is enough
    ("30 2 * * *", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
    ("0 8 * * *", "2026-07-01T12:00:00", "2026-07-02T06:00:00"),
])  # fmt: skip
def test_times_of_a_zone(schedule: str, after: str, expect: str) -> None:
    assert cron.parse(schedule).next(at(after), ZoneInfo("Europe/Berlin")) == at(expect)


@pytest.mark.parametrize(("schedule", "after", "until", "expect"), [
    ("* * * * *", "2025-01-01T00:00:00", "2026-01-01T00:00:30", "2026-01-01T00:00:00"),
    ("@yearly", "2020-05-01T00:00:00", "2026-05-01T00:00:00", "2026-01-01T00:00:00"),
    ("@hourly", "2026-01-01T00:00:00", "2026-01-01T00:59:59", None),
    ("@every 60s", "2026-01-01T00:00:00", "2026-01-01T00:03:30", "2026-01-01T00:03:00"),
])  # fmt: skip
def test_the_latest_time_missed(schedule: str, after: str, until: str, expect: str | None) -> None:
    assert cron.parse(schedule).latest(at(after), at(until), UTC) == (at(expect) if expect else None)


@pytest.mark.parametrize(
    "schedule", ["", "* * * *", "60 * * * *", "* * 0 * *", "* * * * 7", "*/0 * * * *", "5-1 * * * *", "a * * * *", "@soon", "@every x"]
)
def test_what_is_no_schedule(schedule: str) -> None:
    with pytest.raises(ValueError):
        cron.parse(schedule)
