"""What notification templates see and webhooks get: `.Status`, `.Alerts.Firing`, `.GroupLabels.SortedPairs`, ...

Names and shapes are upstream's, so users' templates work. Source: upstream's template/template.go and the notifications reference.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from podium.telemetry.metrics.alertmanager.alerts import Alert
from podium.telemetry.metrics.templates.times import ZERO, Time, rfc3339


class Strings(list[str]):
    template_type: ClassVar[str] = "template.Strings"
    template_names: ClassVar[Mapping[str, str]] = {"Join": "joined"}

    def joined(self, separator: str) -> str:
        return separator.join(self)


@dataclass(frozen=True, slots=True)
class Pair:
    name: str
    value: str

    template_type: ClassVar[str] = "template.Pair"
    template_names: ClassVar[Mapping[str, str]] = {"Name": "name", "Value": "value"}

    def to_json(self) -> dict[str, str]:
        return {"Name": self.name, "Value": self.value}


class Pairs(list[Pair]):
    template_type: ClassVar[str] = "template.Pairs"
    template_names: ClassVar[Mapping[str, str]] = {"Names": "names", "Values": "values", "String": "text"}
    template_string: ClassVar[str] = "text"

    def names(self) -> Strings:
        return Strings(pair.name for pair in self)

    def values(self) -> Strings:
        return Strings(pair.value for pair in self)

    def text(self) -> str:
        return ", ".join(f"{pair.name}={pair.value}" for pair in self)


class KV(dict[str, str]):
    """Label or annotation names to values. `alertname` comes first, the others by name."""

    template_type: ClassVar[str] = "template.KV"
    template_missing: ClassVar[str] = ""
    template_names: ClassVar[Mapping[str, str]] = {
        "SortedPairs": "sorted_pairs", "Remove": "without", "Names": "sorted_names", "Values": "sorted_values", "String": "text",
    }  # fmt: skip
    template_string: ClassVar[str] = "text"

    def sorted_pairs(self) -> Pairs:
        return Pairs(Pair(name, self[name]) for name in sorted(self, key=lambda name: (name != "alertname", name)))

    def without(self, names: list[str]) -> "KV":
        return KV((name, value) for name, value in self.items() if name not in names)

    def sorted_names(self) -> Strings:
        return self.sorted_pairs().names()

    def sorted_values(self) -> Strings:
        return self.sorted_pairs().values()

    def text(self) -> str:
        return self.sorted_pairs().text()


@dataclass(frozen=True, slots=True)
class AlertData:
    status: str
    labels: KV
    annotations: KV
    starts_at: Time
    ends_at: Time
    generator_url: str
    fingerprint: str

    template_type: ClassVar[str] = "template.Alert"
    template_names: ClassVar[Mapping[str, str]] = {
        "Status": "status", "Labels": "labels", "Annotations": "annotations", "StartsAt": "starts_at", "EndsAt": "ends_at",
        "GeneratorURL": "generator_url", "Fingerprint": "fingerprint",
    }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status, "labels": dict(sorted(self.labels.items())), "annotations": dict(sorted(self.annotations.items())),
            "startsAt": rfc3339(self.starts_at.when), "endsAt": rfc3339(self.ends_at.when), "generatorURL": self.generator_url,
            "fingerprint": self.fingerprint,
        }  # fmt: skip


class AlertList(list[AlertData]):
    template_type: ClassVar[str] = "template.Alerts"
    template_names: ClassVar[Mapping[str, str]] = {"Firing": "firing", "Resolved": "resolved"}

    def firing(self) -> "AlertList":
        return AlertList(alert for alert in self if alert.status == "firing")

    def resolved(self) -> "AlertList":
        return AlertList(alert for alert in self if alert.status == "resolved")


@dataclass(frozen=True, slots=True)
class Data:
    """`receiver` is quoted for use in a regular expression."""

    receiver: str
    status: str
    alerts: AlertList
    notification_reason: str
    group_labels: KV
    common_labels: KV
    common_annotations: KV
    route_labels: KV
    external_url: str

    template_type: ClassVar[str] = "*template.Data"
    template_names: ClassVar[Mapping[str, str]] = {
        "Receiver": "receiver", "Status": "status", "Alerts": "alerts", "NotificationReason": "notification_reason",
        "GroupLabels": "group_labels", "CommonLabels": "common_labels", "CommonAnnotations": "common_annotations",
        "RouteLabels": "route_labels", "ExternalURL": "external_url",
    }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "receiver": self.receiver, "status": self.status, "alerts": [alert.to_json() for alert in self.alerts],
            "notification_reason": self.notification_reason, "groupLabels": dict(sorted(self.group_labels.items())),
            "commonLabels": dict(sorted(self.common_labels.items())), "commonAnnotations": dict(sorted(self.common_annotations.items())),
            "routeLabels": dict(sorted(self.route_labels.items())), "externalURL": self.external_url,
        }  # fmt: skip

    def first(self, count: int) -> "Data":
        """Of so many of the alerts, from 1."""
        alerts = AlertList(self.alerts[:count])
        return replace(
            self, alerts=alerts, status=_status(alerts), common_labels=_common([a.labels for a in alerts]),
            common_annotations=_common([a.annotations for a in alerts]),
        )  # fmt: skip


_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


def data_of(
    alerts: Sequence[Alert],
    now: datetime,
    *,
    receiver: str,
    group_labels: Mapping[str, str],
    route_labels: Mapping[str, str],
    reason: str,
    external_url: str,
) -> Data:
    """`alerts` not empty, in their order; the status is firing while any of them is."""
    listed = AlertList(
        AlertData(
            status="resolved" if a.resolved_at(now) else "firing",
            labels=KV(a.labels),
            annotations=KV(a.annotations),
            starts_at=Time(a.starts_at),
            ends_at=Time(a.ends_at or ZERO),
            generator_url=a.generator_url,
            fingerprint=a.fingerprint,
        )
        for a in alerts
    )
    return Data(
        receiver=_META.sub(lambda match: "\\" + match[0], receiver),
        status=_status(listed),
        alerts=listed,
        notification_reason=reason,
        group_labels=KV(group_labels),
        common_labels=_common([a.labels for a in alerts]),
        common_annotations=_common([a.annotations for a in alerts]),
        route_labels=KV(route_labels),
        external_url=external_url,
    )


def _status(alerts: AlertList) -> str:
    return "firing" if alerts.firing() else "resolved"


def _common(sets: Sequence[Mapping[str, str]]) -> KV:
    first, *others = sets
    return KV((name, value) for name, value in first.items() if all(other.get(name) == value for other in others))
