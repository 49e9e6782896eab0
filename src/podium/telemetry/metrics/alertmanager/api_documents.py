"""The shapes of API v2: JSON in, values out, and back.

What is wrong with a request is an ApiError with upstream's status and body: 400 with a text, 422 with `{"code": ..., "message": ...}` as its
generated validation gives it. Source: upstream's api/v2/openapi.yaml.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from podium.telemetry.metrics.alertmanager.alertmanager import AlertStatus, PostedAlert
from podium.telemetry.metrics.alertmanager.alerts import Alert
from podium.telemetry.metrics.alertmanager.matchers import Matcher
from podium.telemetry.metrics.alertmanager.silences import Silence, matchers_of

ALERTS_PER_REQUEST_MAX = 50_000
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_ZERO = "0001-01-01T00:00:00"


class ApiError(Exception):
    """`body` is JSON."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


def invalid(code: int, message: str) -> ApiError:
    """Of the generated validation: 601 wrong type, 602 missing."""
    return ApiError(422, {"code": code, "message": message})


def shown_time(when: datetime) -> str:
    """With milliseconds: `2026-01-02T03:04:05.678Z`."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def read_time(value: Any, name: str) -> datetime | None:
    """None for what is not there, and for Go's zero time. Raises ApiError."""
    if value in (None, ""):
        return None
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ApiError(400, {"code": 400, "message": f'parsing body from "" failed, because {name} is no RFC 3339 time'})
    day, clock, fraction, zone = match.groups()
    if f"{day}T{clock}" == _ZERO:
        return None
    try:
        text = f"{day}T{clock}.{(fraction or '')[:6].ljust(6, '0')}{'+00:00' if zone in 'Zz' else zone}"
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ApiError(400, {"code": 400, "message": f'parsing body from "" failed, because {name}: {error}'}) from error


def read_json(body: bytes, what: str) -> Any:
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise ApiError(400, {"code": 400, "message": f'parsing {what} body from "" failed, because {error}'}) from error


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiError(400, {"code": 400, "message": f'parsing {where} body from "" failed, because it is not an object'})
    return value


def _label_set(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ApiError(400, {"code": 400, "message": f'parsing alerts body from "" failed, because {where} is not a map of strings'})
    return value


def posted_alerts(body: bytes) -> list[PostedAlert]:
    """Raises ApiError."""
    items = read_json(body, "alerts")
    if not isinstance(items, list):
        raise ApiError(400, {"code": 400, "message": 'parsing alerts body from "" failed, because it is not a list'})
    if len(items) > ALERTS_PER_REQUEST_MAX:
        raise ApiError(413, f"more than {ALERTS_PER_REQUEST_MAX} alerts in a request")
    found = []
    for number, raw in enumerate(items):
        item = _object(raw, "alerts")
        if item.get("labels") is None:
            raise invalid(602, f"{number}.labels in body is required")
        url = item.get("generatorURL") or ""
        if not isinstance(url, str):
            raise ApiError(400, {"code": 400, "message": 'parsing alerts body from "" failed, because generatorURL is not a string'})
        found.append(
            PostedAlert(
                _label_set(item["labels"], "labels"),
                _label_set(item.get("annotations"), "annotations"),
                read_time(item.get("startsAt"), "startsAt"),
                read_time(item.get("endsAt"), "endsAt"),
                url,
            )
        )
    return found


def shown_alert(alert: Alert, status: AlertStatus, receivers: Sequence[str], muted_by: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "annotations": alert.annotations,
        "endsAt": shown_time(alert.ends_at or alert.updated_at),
        "fingerprint": alert.fingerprint,
        "receivers": [{"name": name} for name in receivers],
        "startsAt": shown_time(alert.starts_at),
        "status": {
            "inhibitedBy": list(status.inhibited_by),
            "mutedBy": list(muted_by),
            "silencedBy": list(status.silenced_by),
            "state": "suppressed" if muted_by else status.state,
        },
        "updatedAt": shown_time(alert.updated_at),
        **({"generatorURL": alert.generator_url} if alert.generator_url else {}),
        "labels": alert.labels,
    }


def posted_silence(body: bytes) -> Silence:
    """Raises ApiError, BadSilence. Its `updated_at` is meaningless."""
    item = _object(read_json(body, "silence"), "silence")
    for name in ("comment", "createdBy", "endsAt", "matchers", "startsAt"):
        if item.get(name) is None:
            raise invalid(602, f"{name} in body is required")
    for name in ("comment", "createdBy"):
        if not isinstance(item[name], str):
            raise ApiError(400, {"code": 400, "message": f'parsing silence body from "" failed, because {name} is not a string'})
    if not isinstance(item["matchers"], list) or not item["matchers"]:
        raise invalid(612, "matchers in body should have at least 1 items")
    for number, matcher in enumerate(item["matchers"]):
        checked = _object(matcher, "silence")
        for name, kind in (("isRegex", bool), ("name", str), ("value", str)):
            if checked.get(name) is None:
                raise invalid(602, f"matchers.{number}.{name} in body is required")
            if not isinstance(checked[name], kind):
                raise ApiError(400, {"code": 400, "message": f'parsing silence body from "" failed, because {name} is of another type'})
    starts_at, ends_at = read_time(item["startsAt"], "startsAt"), read_time(item["endsAt"], "endsAt")
    if starts_at is None or ends_at is None:
        raise ApiError(
            400, "invalid silence: invalid zero end timestamp" if ends_at is None else "invalid silence: invalid zero start timestamp"
        )
    annotations = item.get("annotations")
    return Silence(
        str(item.get("id") or ""), matchers_of(item["matchers"]), starts_at, ends_at, starts_at, item["createdBy"], item["comment"],
        _label_set(annotations, "annotations"),
    )  # fmt: skip


def shown_silence(silence: Silence, now: datetime) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(now)},
        "updatedAt": shown_time(silence.updated_at),
        "annotations": dict(silence.annotations),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": shown_time(silence.ends_at),
        "matchers": [shown_matcher(matcher) for matcher in silence.matchers],
        "startsAt": shown_time(silence.starts_at),
    }


def shown_matcher(matcher: Matcher) -> dict[str, Any]:
    return {"isEqual": matcher.is_equal, "isRegex": matcher.is_regex, "name": matcher.name, "value": matcher.value}


_STATES = ("active", "pending", "expired")


def ordered_silences(silences: Sequence[Silence], now: datetime) -> list[Silence]:
    """Active ones by their end, pending ones by their start, expired ones the latest first."""

    def order(silence: Silence) -> tuple[int, float]:
        state = silence.state(now)
        when = silence.starts_at if state == "pending" else silence.ends_at
        return _STATES.index(state), -when.timestamp() if state == "expired" else when.timestamp()

    return sorted(silences, key=order)


def filter_matches(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """As the API filters: `a!=""` is true of everything that has a label a, `a=""` of what has none."""
    for matcher in matchers:
        if not matcher.value and (matcher.name in labels) is not matcher.is_equal:
            continue
        if not matcher.matches(labels.get(matcher.name, "")):
            return False
    return True
