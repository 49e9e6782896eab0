"""The schema of an AlertmanagerConfig: what alertmanager_configuration.py acts on, and no more.

A route's children have no schema, as upstream's have not (definitions cannot refer to themselves): they are checked when they are acted on.

v1beta1 has the same fields but for what alertmanager_conversion.py tells of.

Source: the Prometheus operator's API reference (AlertmanagerConfig v1alpha1, v1beta1).
"""

from podium.telemetry.prometheus_operator.receiver_fields import HTTP_FORM, INTEGRATIONS, UNSUPPORTED, schema_of
from podium.telemetry.prometheus_operator.schemas import (
    BOOLEAN,
    DURATION,
    FREE,
    INTEGER,
    KEY,
    STRING,
    STRINGS,
    Schema,
    listed,
    one_of,
    record,
)

_NAME: Schema = {**STRING, "minLength": 1}
_MATCHER = {"name": _NAME, "value": STRING, "matchType": one_of("!=", "=", "=~", "!~")}
MATCHERS = listed(record(("name",), **_MATCHER, regex=BOOLEAN))
_MATCHERS_V1BETA1 = listed(record(("name",), **_MATCHER))
_KEY_V1BETA1 = record(("key", "name"), name=_NAME, key=_NAME)
KEYS_UNCHANGED = {("discordConfigs", "apiURL"), ("msteamsConfigs", "webhookUrl"), ("msteamsv2Configs", "webhookURL")}
"""References to Secrets that are the same in both versions; the others of a receiver have no `optional` in v1beta1."""


def _route(matchers: Schema) -> dict[str, Schema]:
    return {
        "receiver": STRING, "groupBy": STRINGS, "groupWait": DURATION, "groupInterval": DURATION, "repeatInterval": DURATION,
        "matchers": matchers, "continue": BOOLEAN, "routes": listed(FREE), "muteTimeIntervals": STRINGS, "activeTimeIntervals": STRINGS,
    }  # fmt: skip


ROUTE_FIELDS = _route(MATCHERS)
_INTERVAL = record(
    times=listed(record(startTime=STRING, endTime=STRING)), weekdays=STRINGS, daysOfMonth=listed(record(start=INTEGER, end=INTEGER)),
    months=STRINGS, years=STRINGS,
)  # fmt: skip
_INTERVALS = listed(record(("name",), name=_NAME, timeIntervals=listed(_INTERVAL)))

_HTTP_V1BETA1: Schema = {**HTTP_FORM.schema, "properties": {**HTTP_FORM.schema["properties"], "bearerTokenSecret": _KEY_V1BETA1}}


def _entry_v1beta1(integration: str, entry: Schema) -> Schema:
    fields = {
        name: _KEY_V1BETA1 if schema is KEY and (integration, name) not in KEYS_UNCHANGED else schema
        for name, schema in entry["properties"].items()
    }
    if "httpConfig" in fields:
        fields["httpConfig"] = _HTTP_V1BETA1
    return {**entry, "properties": fields}


_ENTRIES = {integration.name: schema_of(integration.fields, integration.required) for integration in INTEGRATIONS}


def _receivers(entries: dict[str, Schema]) -> Schema:
    fields = {name: listed(entry) for name, entry in entries.items()}
    receiver = record(("name",), name=_NAME, **fields, **dict.fromkeys(UNSUPPORTED, listed(FREE)))
    return listed(receiver, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})


def _inhibitions(matchers: Schema) -> Schema:
    return listed(record(sourceMatch=matchers, targetMatch=matchers, equal=STRINGS))


ALERTMANAGER_CONFIG = record(
    route=record(**ROUTE_FIELDS), receivers=_receivers(_ENTRIES), inhibitRules=_inhibitions(MATCHERS), muteTimeIntervals=_INTERVALS
)  # fmt: skip
ALERTMANAGER_CONFIG_V1BETA1 = record(
    route=record(**_route(_MATCHERS_V1BETA1)), receivers=_receivers({n: _entry_v1beta1(n, e) for n, e in _ENTRIES.items()}),
    inhibitRules=_inhibitions(_MATCHERS_V1BETA1), timeIntervals=_INTERVALS,
)  # fmt: skip
