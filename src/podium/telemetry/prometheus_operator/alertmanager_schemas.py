"""The schema of an AlertmanagerConfig: what alertmanager_configuration.py acts on, and no more.

A route's children have no schema, as upstream's have not (definitions cannot refer to themselves): they are checked when they are acted on.

Source: the Prometheus operator's API reference (AlertmanagerConfig v1alpha1).
"""

from podium.telemetry.prometheus_operator.receiver_fields import INTEGRATIONS, UNSUPPORTED, schema_of
from podium.telemetry.prometheus_operator.schemas import BOOLEAN, DURATION, FREE, INTEGER, STRING, STRINGS, Schema, listed, one_of, record

_NAME: Schema = {**STRING, "minLength": 1}
MATCHERS = listed(record(("name",), name=_NAME, value=STRING, matchType=one_of("!=", "=", "=~", "!~"), regex=BOOLEAN))
ROUTE_FIELDS: dict[str, Schema] = {
    "receiver": STRING, "groupBy": STRINGS, "groupWait": DURATION, "groupInterval": DURATION, "repeatInterval": DURATION, "matchers": MATCHERS,
    "continue": BOOLEAN, "routes": listed(FREE), "muteTimeIntervals": STRINGS, "activeTimeIntervals": STRINGS,
}  # fmt: skip
_INTERVAL = record(
    times=listed(record(startTime=STRING, endTime=STRING)), weekdays=STRINGS, daysOfMonth=listed(record(start=INTEGER, end=INTEGER)),
    months=STRINGS, years=STRINGS,
)  # fmt: skip
_RECEIVER = record(
    ("name",), name=_NAME,
    **{integration.name: listed(schema_of(integration.fields, integration.required)) for integration in INTEGRATIONS},
    **dict.fromkeys(UNSUPPORTED, listed(FREE)),
)  # fmt: skip
ALERTMANAGER_CONFIG = record(
    route=record(**ROUTE_FIELDS),
    receivers=listed(_RECEIVER, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
    inhibitRules=listed(record(sourceMatch=MATCHERS, targetMatch=MATCHERS, equal=STRINGS)),
    muteTimeIntervals=listed(record(("name",), name=_NAME, timeIntervals=listed(_INTERVAL))),
)  # fmt: skip
