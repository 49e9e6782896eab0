"""Events: one table for both of their groups, whose objects name the same things differently."""

from datetime import datetime
from typing import Any

from podium.api.tables import ages
from podium.api.tables.columns import NAME, WIDE, Column, Table, at, name
from podium.objects.values import Object


def _cells(value: Object, now: datetime) -> list[Any]:
    about = value.get("involvedObject") or value.get("regarding") or {}
    first = ages.since(value.get("firstTimestamp") or value.get("deprecatedFirstTimestamp") or value.get("eventTime"), now)
    latest = value.get("lastTimestamp") or value.get("deprecatedLastTimestamp")
    last = ages.since(latest, now) if latest else first
    count = value.get("count") or value.get("deprecatedCount") or 1
    series = value.get("series")
    if series:
        last, count = ages.since(series.get("lastObservedTime"), now), series.get("count", 0)
    kind, target = about.get("kind", "").lower(), about.get("name")
    message = value.get("message") or value.get("note") or ""
    return [
        last, value.get("type", ""), value.get("reason", ""), f"{kind}/{target}" if target else kind, about.get("fieldPath", ""),
        _source(value), message.strip(), first, count, name(value),
    ]  # fmt: skip


def _source(value: Object) -> str:
    source = value.get("source") or value.get("deprecatedSource") or {}
    component = source.get("component") or value.get("reportingComponent") or value.get("reportingController") or ""
    instance = source.get("host") or at(value, "reportingInstance", default="")
    return f"{component}, {instance}" if instance else component


_EVENT = "core.v1.Event"
_TABLE = Table(
    (
        Column("Last Seen", field=f"{_EVENT}.lastTimestamp"),
        Column("Type", field=f"{_EVENT}.type"),
        Column("Reason", field=f"{_EVENT}.reason"),
        Column("Object", field=f"{_EVENT}.involvedObject"),
        Column("Subobject", field="core.v1.ObjectReference.fieldPath", priority=WIDE),
        Column("Source", field=f"{_EVENT}.source", priority=WIDE),
        Column("Message", field=f"{_EVENT}.message"),
        Column("First Seen", field=f"{_EVENT}.firstTimestamp", priority=WIDE),
        Column("Count", field=f"{_EVENT}.count", priority=WIDE),
        Column("Name", field=NAME.field, format="name", priority=WIDE),
    ),
    _cells,
)

TABLES = {("", "events"): _TABLE, ("events.k8s.io", "events"): _TABLE}
